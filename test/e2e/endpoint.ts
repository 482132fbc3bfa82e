// Services with endpoints whose behaviour a test switches as it goes, a proxy in a process of its own in front of them,
// and clients that count what they are answered.

import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import http2 from 'node:http2';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ProxyConfig } from '../../src/index.js';
import { type Answer, request } from '../http.js';
import { type Running, type Scope, startTulle, temporaryFolder } from '../process.js';
import type { Version } from './two.js';
import { PATIENCE_MS } from './wire.js';

/** A request that an endpoint got whole. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: Readonly<Record<string, unknown>>;
  /** When its head came, in ms of the process's clock. */
  readonly at: number;
}

/** What an endpoint does with a request: answers it, never answers, or resets the connection. */
export type Reply =
  | {
      readonly status?: number;
      readonly headers?: http.OutgoingHttpHeaders;
      readonly body?: string;
      readonly afterMs?: number;
    }
  | 'hang'
  | 'reset';

type Incoming = http.IncomingMessage | http2.Http2ServerRequest;
type Outgoing = http.ServerResponse | http2.Http2ServerResponse;

/** A switchable endpoint of a service. `/healthz` is answered and kept apart from all else. */
export class Endpoint {
  readonly name: string;
  readonly port: number;
  /** Requests, health checks apart. */
  seen: Seen[] = [];
  checks = 0;
  /** Requests under way, and the most there were at a time. */
  open = 0;
  most = 0;
  /** What happens to requests; its name is the answer's body by default. */
  reply: (got: Seen) => Reply = () => ({});
  health: Reply = {};
  /** What a request waits for before it is answered. */
  before: () => Promise<void> = async () => {};
  readonly #sockets = new Set<{ resetAndDestroy(): unknown }>();
  readonly #version: Version;
  #server: http.Server | http2.Http2Server | undefined;

  private constructor(name: string, port: number, version: Version) {
    this.name = name;
    this.port = port;
    this.#version = version;
  }

  /** Starts listening; ends with the scope. */
  static start(scope: Scope, name: string, port: number): Promise<Endpoint> {
    return new Endpoint(name, port, 1).#begin(scope);
  }

  /** One that speaks HTTP/2 by prior knowledge. */
  static startTwo(scope: Scope, name: string, port: number): Promise<Endpoint> {
    return new Endpoint(name, port, 2).#begin(scope);
  }

  async #begin(scope: Scope): Promise<this> {
    scope.teardown(() => this.close());
    await this.listen();
    return this;
  }

  /** As a configuration names it. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Comes back after `close`. */
  async listen(): Promise<void> {
    const serve = (incoming: Incoming, answer: Outgoing): void =>
      void this.#serve(incoming, answer as http.ServerResponse).catch(() => {});
    const server =
      this.#version === 1
        ? http.createServer({ keepAliveTimeout: 60_000 }, serve)
        : http2.createServer(serve);
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => {});
    });
    server.on('upgrade', (_incoming, socket) => {
      socket.on('error', () => {}).pipe(socket);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n');
    });
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
  }

  /** Crashes: connections are reset, new ones refused. */
  close(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** What came since the last time. */
  flush(): Seen[] {
    const found = this.seen;
    this.seen = [];
    this.most = this.open;
    return found;
  }

  async #serve(incoming: Incoming, answer: http.ServerResponse): Promise<void> {
    const at = performance.now();
    let body = '';
    for await (const part of incoming.setEncoding('latin1')) body += String(part);
    const { method = '', url = '', headers, trailers } = incoming;
    const seen = { method, url, headers, body, trailers, at };
    const reply = url === '/healthz' ? this.#check() : this.#take(seen, answer);
    if (reply === 'hang') return;
    if (reply === 'reset') {
      incoming.socket.resetAndDestroy();
      return;
    }
    if (url !== '/healthz') await this.before();
    if (reply.afterMs !== undefined) await pause(reply.afterMs, undefined, { ref: false });
    const text = reply.body ?? this.name;
    answer.writeHead(reply.status ?? 200, { 'content-length': text.length, ...reply.headers });
    answer.end(text);
  }

  #check(): Reply {
    this.checks += 1;
    return this.health;
  }

  #take(seen: Seen, answer: http.ServerResponse): Reply {
    this.seen.push(seen);
    this.open += 1;
    this.most = Math.max(this.most, this.open);
    answer.on('close', () => {
      this.open -= 1;
    });
    return this.reply(seen);
  }
}

/** What endpoints can do: so many requests side by side, so long for each; further ones wait in order of arrival. */
export class Capacity {
  servers: number;
  readonly #ms: number;
  #busy = 0;
  /** The most that were served or waited at a time, since this was last set. */
  most = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(servers: number, ms: number) {
    this.servers = servers;
    this.#ms = ms;
  }

  /** Resolves when a request is served; an endpoint's `before`. */
  readonly serve = (): Promise<void> =>
    new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.most = Math.max(this.most, this.#busy + this.#waiting.length);
      this.#begin();
    });

  #begin(): void {
    while (this.#busy < this.servers) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#busy += 1;
      setTimeout(() => {
        this.#busy -= 1;
        next();
        this.#begin();
      }, this.#ms).unref();
    }
  }
}

/** How one endpoint stands, as the admin page says it. */
export interface Standing {
  readonly address: string;
  readonly state: 'usable' | 'ejected' | 'unhealthy' | 'draining';
  readonly why?: string;
}

interface ServiceStanding {
  readonly name: string;
  readonly panic: boolean;
  readonly endpoints: readonly Standing[];
}

/** Waits until this is true; asks every few milliseconds. */
export async function until(look: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!(await look())) {
    if (Date.now() > end) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`);
    await pause(10);
  }
}

/** What a proxy says of itself on its admin listener. */
export class Admin {
  readonly #origin: string;

  constructor(port: number) {
    this.#origin = `http://127.0.0.1:${port}`;
  }

  async page(name: string): Promise<string> {
    const { status, body } = await request(`${this.#origin}${name}`);
    if (status !== 200) throw new Error(`${name}: ${status} ${body}`);
    return body;
  }

  /** How a service stands. */
  async service(name: string): Promise<ServiceStanding> {
    const { services } = JSON.parse(await this.page('/endpoints')) as { services: ServiceStanding[] };
    const found = services.find((service) => service.name === name);
    if (found === undefined) throw new Error(`no service ${name}`);
    return found;
  }

  /** How an endpoint of a service stands. */
  async standing(service: string, { address }: { readonly address: string }): Promise<Standing> {
    const { endpoints } = await this.service(service);
    const found = endpoints.find((endpoint) => endpoint.address.includes(address));
    if (found === undefined) throw new Error(`no endpoint ${address} in ${JSON.stringify(endpoints)}`);
    return found;
  }

  /** Waits until an endpoint stands like that. */
  async stands(service: string, endpoint: { readonly address: string }, state: string): Promise<void> {
    await until(
      async () => (await this.standing(service, endpoint)).state === state,
      `${endpoint.address} is ${state}`,
    );
  }

  /** The sum of a metric's samples whose labels contain all of these. */
  async metric(name: string, labels: Readonly<Record<string, string>>): Promise<number> {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    const lines = (await this.page('/metrics')).split('\n');
    const found = lines.filter(
      (line) => line.startsWith(`${name}{`) && wanted.every((label) => line.includes(label)),
    );
    return found.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  /** How often something happened to a service. */
  event(service: string, event: string): Promise<number> {
    return this.metric('tulle_service_events_total', { service, event });
  }
}

/** `tulle proxy` with an admin listener. */
export class Proxied extends Admin {
  readonly running: Running;
  readonly #file: string;
  #reloads = 0;

  private constructor(running: Running, file: string, admin: number) {
    super(admin);
    this.running = running;
    this.#file = file;
  }

  /** Starts it with a configuration, whose admin listener is on this port, and waits until it serves. */
  static async start(
    scope: Scope,
    config: ProxyConfig | string,
    { admin, env = {} }: { admin: number; env?: NodeJS.ProcessEnv },
  ): Promise<Proxied> {
    const file = path.join(temporaryFolder(scope), 'proxy.yaml');
    writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config));
    const running = startTulle(scope, ['proxy', '--config', file], { env });
    await running.says(/^ready/m);
    return new Proxied(running, file, admin);
  }

  /** Has it take another configuration, and waits until it serves by that. */
  async reload(config: ProxyConfig | string): Promise<void> {
    writeFileSync(`${this.#file}.new`, typeof config === 'string' ? config : JSON.stringify(config));
    renameSync(`${this.#file}.new`, this.#file);
    this.#reloads += 1;
    this.running.child.kill('SIGHUP');
    const taken = (): number => this.running.output().match(/"config_(?:applied|unchanged)"/g)?.length ?? 0;
    await until(() => taken() >= this.#reloads, `reload ${this.#reloads}: ${this.running.output()}`);
  }

  /** The configuration's text. */
  text(): Promise<string> {
    return readFile(this.#file, 'utf8');
  }
}

/** A request, and how long its answer took. */
export interface Timed extends Answer {
  readonly ms: number;
}

/** What to ask for. */
export interface Wanted {
  /** Waits so long after an answer that tells to come again later. */
  readonly patienceMs?: number;
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string;
}

/** A client with connections of its own, which it keeps. */
export class Caller {
  readonly #agent: http.Agent;
  readonly #origin: string;

  constructor(scope: Scope, port: number, connections = 16) {
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: connections });
    this.#origin = `http://127.0.0.1:${port}`;
    scope.teardown(() => this.#agent.destroy());
  }

  /** One request. */
  async ask(target: string, wanted: Wanted = {}): Promise<Timed> {
    const began = performance.now();
    const answer = await request(`${this.#origin}${target}`, { ...wanted, agent: this.#agent });
    return { ...answer, ms: performance.now() - began };
  }

  /** So many, as many at a time as there are connections. */
  many(count: number, target: string, wanted: Wanted | ((index: number) => Wanted) = {}): Promise<Timed[]> {
    return this.during((index) => index < count, target, wanted);
  }

  /** Again and again while this is true, as many at a time as there are connections. */
  async during(
    goesOn: (index: number) => boolean,
    target: string,
    wanted: Wanted | ((index: number) => Wanted) = {},
  ): Promise<Timed[]> {
    const answers: Timed[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      while (goesOn(next)) {
        const index = next;
        next += 1;
        const what = typeof wanted === 'function' ? wanted(index) : wanted;
        const answer = await this.ask(target, what);
        answers.push(answer);
        if (what.patienceMs !== undefined && answer.status !== 200) await pause(what.patienceMs);
      }
    };
    await Promise.all(Array.from({ length: this.#agent.maxSockets }, work));
    return answers;
  }
}

/** How many answers there are of each kind: their status, and the reason that the proxy gives. */
export function tally(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, headers } of answers) {
    const reason = headers['x-tulle-reason'];
    const kind = reason === undefined ? `${status}` : `${status} ${String(reason)}`;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** How many answers came from each endpoint, by their bodies. */
export function shares(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { body } of answers) counts[body] = (counts[body] ?? 0) + 1;
  return counts;
}

/** Five standard deviations of a binomial count. */
export function spread(count: number, share: number): number {
  return 5 * Math.sqrt(count * share * (1 - share));
}
