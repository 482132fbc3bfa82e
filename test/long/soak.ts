// A proxy under mixed load while its file is loaded again and its certificates are replaced, for as long as is asked.
// In: how long. Out: what went wrong, which must be nothing, and what the process used at its begin and at its end.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { loadAddon } from '../../src/engine/addon.js';
import { freePorts } from '../ports.js';
import { type Running, type Scope, startTulle, temporaryFolder } from '../process.js';

/** What the process holds. */
export interface Usage {
  readonly rssKb: number;
  readonly descriptors: number;
  readonly threads: number;
}

/** What was seen. */
export interface SoakResult {
  /** Requests that had to be answered and were not, or not with what was asked for. */
  readonly failures: readonly string[];
  /** Rightly answered requests by the kind of client. */
  readonly answered: Readonly<Record<string, number>>;
  readonly reloads: number;
  readonly rotations: number;
  /** Different certificates that clients were shown. */
  readonly certificates: number;
  /** One per half second, under load. */
  readonly usage: readonly Usage[];
  /** Without load, before and after all of it. */
  readonly idle: { readonly before: Usage; readonly after: Usage };
  /** The page of the admin listener at the end. */
  readonly metrics: string;
  readonly exit: number | NodeJS.Signals | null;
}

interface Ports {
  readonly web: number;
  readonly secure: number;
  readonly outbound: number;
  readonly inbound: number;
  readonly admin: number;
  readonly upstream: number;
}

const LARGE = randomBytes(1 << 20);
/** Between a client's requests: the load is bounded, the processors are shared. */
const PAUSE_MS = 4;

/** Every hop there is: plain and TLS in, and a call that leaves by one listener and comes back by mutual TLS. */
function toConfig(ports: Ports, generation: number): string {
  return `workers: 2
drain: 5s
listeners:
  web: { address: "127.0.0.1:${ports.web}" }
  secure: { address: "127.0.0.1:${ports.secure}", tls: { certificates: [{ cert: certs/edge.crt, key: certs/edge.key }] } }
  outbound: { address: "127.0.0.1:${ports.outbound}" }
  inbound:
    address: "127.0.0.1:${ports.inbound}"
    forwardIdentity: true
    tls: { mode: mutual, identity: { cert: certs/server.crt, key: certs/server.key }, trustBundle: certs/ca.crt }
  admin: { address: "127.0.0.1:${ports.admin}", admin: true }
services:
  api: { endpoints: ["127.0.0.1:${ports.upstream}"] }
  hop:
    endpoints: ["127.0.0.1:${ports.inbound}"]
    tls:
      mode: mutual
      identity: { cert: certs/client.crt, key: certs/client.key }
      trustBundle: certs/ca.crt
      expect: ["spiffe://example.test/ns/shop/sa/reviews"]
routes:
  - name: out
    listeners: [outbound]
    rules: [{ backends: [{ service: hop }] }]
  - name: all
    listeners: [web, secure, inbound]
    rules:
      - filters: [{ responseHeaders: { set: { x-generation: "${generation}" } } }]
        backends: [{ service: api }]
authorization:
  - name: web-may
    listeners: [inbound]
    action: allow
    rules: [{ from: ["spiffe://example.test/ns/shop/sa/web"] }]
`;
}

/** Answers /large with a megabyte, and everything else with the digest of what it was sent. */
async function startUpstream(scope: Scope, port: number): Promise<void> {
  const server = http.createServer((incoming, answer) => {
    if (incoming.url === '/large') {
      answer.end(LARGE);
      return;
    }
    const hash = createHash('sha256');
    incoming.on('data', (part: Buffer) => hash.update(part));
    incoming.on('end', () => answer.end(hash.digest('hex')));
    incoming.on('error', () => answer.destroy());
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  scope.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
}

interface Exchange {
  readonly status: number;
  readonly body: Buffer;
  readonly generation: number;
  readonly certificate: string | undefined;
}

/** One request and its whole answer. */
async function exchange(url: string, options: https.RequestOptions, body?: Buffer): Promise<Exchange> {
  const outgoing = (url.startsWith('https') ? https : http).request(url, { timeout: 10_000, ...options });
  outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 10 s')));
  // In two writes: a chunked body.
  if (body !== undefined) outgoing.write(body.subarray(0, body.length / 2));
  outgoing.end(body?.subarray(body.length / 2));
  const [incoming] = (await once(outgoing, 'response')) as [http.IncomingMessage];
  const certificate = url.startsWith('https')
    ? (incoming.socket as TLSSocket).getPeerCertificate().fingerprint256
    : undefined;
  const parts: Buffer[] = [];
  for await (const part of incoming) parts.push(part as Buffer);
  if (!incoming.complete) throw new Error('a truncated answer');
  const generation = Number(incoming.headers['x-generation'] ?? -1);
  return { status: incoming.statusCode ?? 0, body: Buffer.concat(parts), generation, certificate };
}

/** The clients of one soak, and what they saw. */
class Load {
  readonly failures: string[] = [];
  readonly answered: Record<string, number> = {};
  readonly certificates = new Set<string>();
  /** What keeps connections; closed with the last request. */
  readonly agents: http.Agent[] = [];
  /** The generation that was last known to be in force. */
  applied = 0;
  #stopped = false;
  readonly #clients: Promise<void>[] = [];

  /** Repeats `once` until the end; what it throws is a failure of this kind of client. */
  add(kind: string, once: () => Promise<void>): void {
    const repeat = async (): Promise<void> => {
      while (!this.#stopped) {
        try {
          await once();
          this.answered[kind] = (this.answered[kind] ?? 0) + 1;
        } catch (cause) {
          if (this.failures.length < 100) this.failures.push(`${kind}: ${String(cause)}`);
        }
        await sleep(PAUSE_MS);
      }
    };
    this.#clients.push(repeat());
  }

  /** One request whose answer must be whole, right, and made by a configuration no older than the one in force. */
  async right(url: string, options: https.RequestOptions, body?: Buffer): Promise<void> {
    const inForce = this.applied;
    const answer = await exchange(url, options, body);
    if (answer.certificate !== undefined) this.certificates.add(answer.certificate);
    const expected = url.endsWith('/large')
      ? LARGE
      : Buffer.from(
          createHash('sha256')
            .update(body ?? '')
            .digest('hex'),
        );
    if (answer.status !== 200)
      throw new Error(`status ${answer.status}: ${answer.body.toString().slice(0, 100)}`);
    if (!answer.body.equals(expected)) throw new Error('another body than was asked for');
    if (answer.generation < inForce) throw new Error(`generation ${answer.generation}, after ${inForce}`);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    for (const agent of this.agents) agent.destroy();
  }
}

/** Sends these bytes as they are; resolves with all that comes back. */
async function raw(port: number, bytes: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1').setTimeout(10_000, () => socket.destroy());
  socket.on('error', () => {});
  let answer = '';
  socket.on('data', (part: Buffer) => {
    answer += part.toString('latin1');
  });
  socket.write(bytes);
  await once(socket, 'close');
  return answer;
}

/** Starts clients of every kind: well-behaved ones that must be served, and others that must harm nobody. */
function addClients(load: Load, ports: Ports): void {
  const ca = { rejectUnauthorized: false, servername: 'api.example.test' };
  const kept = new http.Agent({ keepAlive: true, maxSockets: 6 });
  const keptSecure = new https.Agent({ keepAlive: true, maxSockets: 2 });
  load.agents.push(kept, keptSecure);
  const web = `http://127.0.0.1:${ports.web}`;
  const secure = `https://127.0.0.1:${ports.secure}`;
  const outbound = `http://127.0.0.1:${ports.outbound}`;
  const upload = { method: 'POST', agent: kept };
  for (let client = 0; client < 3; client += 1)
    load.add('kept connection', () => load.right(`${web}/small`, { agent: kept }));
  load.add('new connection', () => load.right(`${web}/small`, { agent: false }));
  load.add('upload', () => load.right(web, upload, randomBytes(1 + Math.floor(Math.random() * 200_000))));
  load.add('download', () => load.right(`${web}/large`, { agent: kept }));
  load.add('TLS, kept', () => load.right(`${secure}/small`, { ...ca, agent: keptSecure }));
  load.add('TLS, new', () => load.right(`${secure}/small`, { ...ca, agent: false }));
  load.add('TLS, download', () => load.right(`${secure}/large`, { ...ca, agent: false }));
  load.add('mutual TLS', () => load.right(`${outbound}/small`, { agent: kept }));
  load.add('mutual TLS, upload', () => load.right(outbound, upload, randomBytes(50_000)));
  load.add('malformed', async () => {
    const answer = await raw(
      ports.web,
      'GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
    );
    if (!answer.startsWith('HTTP/1.1 400 ')) throw new Error(`answered with ${answer.slice(0, 40)}`);
  });
  load.add('gone in mid-body', async () => {
    const socket = net.connect(ports.web, '127.0.0.1').on('error', () => {});
    socket.write(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n${'x'.repeat(1_000)}`);
    await sleep(5);
    socket.destroy();
  });
  load.add('gone in mid-answer', async () => {
    const socket = net.connect(ports.web, '127.0.0.1').on('error', () => {});
    socket.write('GET /large HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(socket, 'data');
    socket.destroy();
  });
}

/** Replaces the leaves by new ones of the same authority, as a renewal does: each file by one that takes its name. */
async function rotate(certs: string, spare: string): Promise<void> {
  const made = path.join(spare, 'certs');
  for (const name of readdirSync(made))
    if (/^(edge|client|server)\./.test(name)) rmSync(path.join(made, name));
  await loadAddon().writeCerts(spare, false, Math.floor(Date.now() / 1_000));
  for (const leaf of ['edge', 'client', 'server'])
    for (const end of ['key', 'crt'])
      renameSync(path.join(made, `${leaf}.${end}`), path.join(certs, `${leaf}.${end}`));
}

function toUsage(pid: number | undefined): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  const descriptors = readdirSync(`/proc/${pid}/fd`).length;
  return { rssKb: field('VmRSS'), threads: field('Threads'), descriptors };
}

/** Resolves once the proxy has said this often that it took another configuration. */
async function appliedTimes({ output, child }: Running, times: number): Promise<void> {
  const until = Date.now() + 10_000;
  while (output().split('"event":"config_applied"').length <= times) {
    if (Date.now() > until || child.exitCode !== null)
      throw new Error(`reload ${times}:\n${output().slice(-2_000)}`);
    await sleep(20);
  }
}

/** Loads the file again every second, and replaces the certificates before every third time. */
async function churn({ file, ports, folder, spare, proxy, load, until }: Churn): Promise<[number, number]> {
  let rotations = 0;
  let generation = 0;
  while (Date.now() < until) {
    await sleep(1_000);
    // Without a reload to go with it: the proxy notices by itself.
    if (generation % 3 === 1) {
      await rotate(path.join(folder, 'certs'), spare);
      rotations += 1;
      await sleep(1_500);
    }
    generation += 1;
    writeFileSync(file, toConfig(ports, generation));
    proxy.child.kill('SIGHUP');
    await appliedTimes(proxy, generation);
    load.applied = generation;
  }
  return [generation, rotations];
}

interface Churn {
  readonly file: string;
  readonly ports: Ports;
  readonly folder: string;
  readonly spare: string;
  readonly proxy: Running;
  readonly load: Load;
  readonly until: number;
}

/** Starts the proxy, loads it for `seconds`, and ends it. */
export async function soak(scope: Scope, seconds: number): Promise<SoakResult> {
  const [web = 0, secure = 0, outbound = 0, inbound = 0, admin = 0, upstream = 0] = await freePorts(6);
  const ports = { web, secure, outbound, inbound, admin, upstream };
  const folder = temporaryFolder(scope);
  const spare = temporaryFolder(scope);
  await loadAddon().writeCerts(folder, false, Math.floor(Date.now() / 1_000));
  await loadAddon().writeCerts(spare, false, Math.floor(Date.now() / 1_000));
  for (const name of ['ca.crt', 'ca.key'])
    copyFileSync(path.join(folder, 'certs', name), path.join(spare, 'certs', name));
  const file = path.join(folder, 'proxy.yaml');
  writeFileSync(file, toConfig(ports, 0));
  await startUpstream(scope, upstream);
  const proxy = startTulle(scope, ['proxy', '--config', file]);
  await proxy.says(/^ready /m);
  const { pid } = proxy.child;
  const before = toUsage(pid);

  const load = new Load();
  addClients(load, ports);
  const usage: Usage[] = [];
  const sampling = setInterval(() => usage.push(toUsage(pid)), 500);
  scope.teardown(() => clearInterval(sampling));
  const until = Date.now() + seconds * 1_000;
  const [reloads, rotations] = await churn({ file, ports, folder, spare, proxy, load, until });
  clearInterval(sampling);
  await load.stop();
  // Longer than the pools keep a connection: what is open then belongs to the listeners and to Node.
  await sleep(6_000);
  const after = toUsage(pid);
  const { body } = await exchange(`http://127.0.0.1:${admin}/metrics`, { agent: false });
  proxy.child.kill('SIGTERM');
  const { status } = await proxy.ended;
  const { failures, answered, certificates } = load;
  return {
    failures,
    answered,
    reloads,
    rotations,
    certificates: certificates.size,
    usage,
    idle: { before, after },
    metrics: body.toString(),
    exit: status,
  };
}
