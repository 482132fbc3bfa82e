// `npm run image:prove`: builds the image and proves what it promises. In: the checkout. Out: a `proved:` line for each
// promise, and exit code 0; or the first that does not hold, and 1.
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildTests, root, run, StepError } from '../.ci/steps.mjs';
import { buildImage } from './build.mjs';
import { capture, withDocker } from './daemon.mjs';

const TAG = 'tulle:prove';
const MEMORY_MIB = 128;
/** What an operator who trusts nothing gives it. */
const STRICT = [
  ...['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--pids-limit', '64'],
  ...['--memory', `${MEMORY_MIB}m`, '--memory-swap', `${MEMORY_MIB}m`],
];
const DRAIN_S = 10;
const SLOW_MS = 2_000;
const CONNECTIONS = 32;
const PLAIN_REQUESTS = 20_000;
const TLS_REQUESTS = 500;

/** Says that a promise holds; throws where it does not. */
function prove(promise, holds, seen) {
  if (!holds) throw new StepError(`not so: ${promise} (${seen})`);
  console.log(`proved: ${promise} (${seen})`);
}

/** An upstream on 127.0.0.1: answers at once, or under /slow after a while. */
async function startUpstream(port) {
  const server = http.createServer((request, answer) => {
    const answered = () => answer.end('hello from the upstream');
    if (request.url === '/slow') setTimeout(answered, SLOW_MS);
    else answered();
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** One request; resolves with its status once the whole answer is here. */
async function ask(url, options = {}) {
  const { request } = url.startsWith('https') ? https : http;
  const outgoing = request(url, { timeout: 10_000, ...options });
  outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 10 s')));
  outgoing.end();
  const [incoming] = await once(outgoing, 'response');
  incoming.resume();
  await once(incoming, 'end');
  if (!incoming.complete) throw new Error('a truncated answer');
  return incoming.statusCode;
}

/** That many requests, a few at a time; resolves with how many were not answered with 200. */
async function load(url, count, options) {
  let left = count;
  let failed = 0;
  const client = async () => {
    while (left > 0) {
      left -= 1;
      const status = await ask(url, options).catch(() => 0);
      if (status !== 200) failed += 1;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
  return failed;
}

/** The folder that is mounted at /etc/tulle: a configuration, and certificates that the image's user may read. */
async function writeConfig(folder, { port, tlsPort, upstream }) {
  const made = await capture(process.execPath, [path.join(root, 'dist/cli/main.js'), 'certs', folder]);
  if (made.ended !== 0) throw new StepError(made.stderr);
  const certs = path.join(folder, 'certs');
  for (const name of fs.readdirSync(certs)) {
    if (name.startsWith('edge.')) fs.chmodSync(path.join(certs, name), 0o644);
    else if (name !== 'ca.crt') fs.rmSync(path.join(certs, name));
  }
  fs.chmodSync(folder, 0o755);
  fs.writeFileSync(
    path.join(folder, 'proxy.yaml'),
    `drain: ${DRAIN_S}s
listeners:
  web: { address: "127.0.0.1:${port}" }
  secure: { address: "127.0.0.1:${tlsPort}", tls: { certificates: [{ cert: certs/edge.crt, key: certs/edge.key }] } }
services: { api: { endpoints: ["127.0.0.1:${upstream}"] } }
routes: [{ name: all, rules: [{ backends: [{ service: api }] }] }]
`,
  );
  return fs.readFileSync(path.join(certs, 'ca.crt'));
}

/** What is in the image, and what is not. */
async function proveContents({ docker, name }) {
  const archive = path.join(os.tmpdir(), `${name}.tar`);
  try {
    await docker.run(['export', '--output', archive, name]);
    const { stdout } = await capture('tar', ['--list', '--file', archive]);
    const names = stdout.trimEnd().split('\n');
    const programs = names.filter((file) => /(^|\/)s?bin\/[^/]+$/.test(file));
    prove('node is the only program', programs.join() === 'usr/bin/node', programs.join(' '));
    const stray = names.filter((file) => /\.(ts|rs|map|key|yaml)$|node_modules|(^|\/)src\//.test(file));
    prove('no sources, no keys, no packages', stray.length === 0, `${names.length} files and folders`);
  } finally {
    fs.rmSync(archive, { force: true });
  }
  const size = Number(await docker.run(['image', 'inspect', '--format', '{{.Size}}', TAG]));
  prove('the image is smaller than 150 MB', size < 150e6, `${Math.round(size / 1e6)} MB`);
}

/** The one process of a container: its daemon may count processes in a namespace of its own. */
function processIn(container) {
  const found = fs.readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return fs.readFileSync(`/proc/${name}/cgroup`, 'utf8').includes(container);
    } catch {
      return false;
    }
  });
  prove('it is one process', found.length === 1, `${found.length} in its control group`);
  return found[0];
}

/** What the kernel says about the container's process. */
async function proveConfinement({ docker, name }) {
  const pid = processIn(await docker.run(['inspect', '--format', '{{.Id}}', name]));
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (word) => new RegExp(`^${word}:\\s*(.+)$`, 'm').exec(status)?.[1] ?? 'missing';
  prove(
    'it runs as its own user',
    field('Uid').split('\t')[0] === '65532',
    `uid ${field('Uid').split('\t')[0]}`,
  );
  for (const set of ['CapEff', 'CapPrm', 'CapBnd']) {
    prove(`it has no capability in ${set}`, /^0+$/.test(field(set)), field(set));
  }
  prove('it cannot gain privileges', field('NoNewPrivs') === '1', `NoNewPrivs ${field('NoNewPrivs')}`);
  const mounts = fs.readFileSync(`/proc/${pid}/mounts`, 'utf8').split('\n');
  const [, , type, options = ''] = mounts.find((line) => line.split(' ')[1] === '/')?.split(' ') ?? [];
  prove('its root is read-only', options.split(',').includes('ro'), `${type} ${options.split(',')[0]}`);
}

/** It answers, plain and over TLS, within its memory. */
async function proveService({ docker, name, ports, ca }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const plain = await load(`http://127.0.0.1:${ports.port}/`, PLAIN_REQUESTS, { agent });
  agent.destroy();
  prove(`${PLAIN_REQUESTS} requests on ${CONNECTIONS} connections`, plain === 0, `${plain} failed`);
  const options = { ca, servername: 'api.example.test', agent: false };
  const secure = await load(`https://127.0.0.1:${ports.tlsPort}/`, TLS_REQUESTS, options);
  prove(`${TLS_REQUESTS} TLS handshakes and requests`, secure === 0, `${secure} failed`);
  const usage = await docker.run(['stats', '--no-stream', '--format', '{{.MemUsage}}', name]);
  prove('it stays within its memory', usage.includes(`/ ${MEMORY_MIB}MiB`), usage);
}

/** `docker stop` lets the request in flight finish, and then it ends by itself. */
async function proveStop({ docker, name, ports }) {
  const slow = ask(`http://127.0.0.1:${ports.port}/slow`).catch((cause) => cause.message);
  await sleep(SLOW_MS / 4);
  const began = Date.now();
  await docker.run(['stop', '--time', String(DRAIN_S * 3), name]);
  const seconds = (Date.now() - began) / 1000;
  const status = await slow;
  prove('a request in flight at `docker stop` is answered', status === 200, `status ${status}`);
  prove('it stops within its drain', seconds < DRAIN_S, `${seconds.toFixed(1)} s of ${DRAIN_S} s`);
  const ended = await docker.run(['inspect', '--format', '{{.State.ExitCode}} {{.State.OOMKilled}}', name]);
  prove('it ends by itself, with 0', ended === '0 false', `exit code, killed for memory: ${ended}`);
}

/** Runs the container and everything that is to be proved of it. */
async function proveAll(docker) {
  await buildImage(docker, { tag: TAG });
  await buildTests();
  const { freePorts } = await import('../build/test/ports.js');
  const [port, tlsPort, upstreamPort] = await freePorts(3);
  const ports = { port, tlsPort, upstream: upstreamPort };
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tulle-prove-'));
  const name = path.basename(folder);
  const upstream = await startUpstream(upstreamPort);
  try {
    const ca = await writeConfig(folder, ports);
    const args = [
      'run',
      '--detach',
      '--name',
      name,
      '--network',
      'host',
      '--volume',
      `${folder}:/etc/tulle:ro`,
    ];
    await docker.run([...args, ...STRICT, TAG]);
    const url = `http://127.0.0.1:${port}/`;
    const until = Date.now() + 30_000;
    while (Date.now() < until && (await ask(url).catch(() => 0)) !== 200) await sleep(100);
    const { stdout, stderr } = await docker.ask(['logs', name]);
    prove('it serves', /^ready web /m.test(stdout), stdout.trim() || stderr.trim());
    const running = { docker, name, ports, ca };
    await proveContents(running);
    await proveConfinement(running);
    await proveService(running);
    await proveStop(running);
  } finally {
    await docker.ask(['rm', '--force', name]);
    upstream.close();
    upstream.closeAllConnections();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

await run(() => withDocker(proveAll));
