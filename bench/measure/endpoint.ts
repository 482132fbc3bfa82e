// One endpoint of the scenarios: an HTTP/1.1 server whose behaviour changes while it runs, and which counts what reaches
// it. In: a port, a source of chance, how requests are worked on; out: answers, arrivals by time.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Behaviour } from './behaviour.js';

/** Calls `done` when the work on a request is over. */
export type Work = (done: () => void) => void;

/** Arrivals are counted in slices of so many milliseconds. */
export const SLICE_MS = 100;

const BODY = Buffer.alloc(1024, 'x');
const HEALTH = '/healthz';

/** A server on one port of 127.0.0.1. */
export class Endpoint {
  readonly #port: number;
  readonly #random: () => number;
  readonly #work: Work;
  readonly #sockets = new Set<Socket>();
  /** Connections with a request that will get no answer. */
  readonly #hung = new Set<Socket>();
  #server: Server | undefined;
  #behaviour: Behaviour = { kind: 'healthy' };
  #since = 0;
  #counts: number[] = [];

  constructor(port: number, how: { random: () => number; work: Work }) {
    this.#port = port;
    this.#random = how.random;
    this.#work = how.work;
  }

  /** Listens; resolves when it does. */
  open(): Promise<void> {
    const server = createServer((request, response) => this.#take(request, response));
    // A pooled connection is never closed for its age: these scenarios are about other faults.
    server.keepAliveTimeout = 600_000;
    server.requestTimeout = 0;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.once('close', () => {
        this.#sockets.delete(socket);
        this.#hung.delete(socket);
      });
    });
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port: this.#port, host: '127.0.0.1', backlog: 4096 }, resolve);
    });
  }

  /** Counts arrivals from now on, the first slice beginning at this reading of `performance.now()`. */
  countFrom(since: number): void {
    this.#since = since;
    this.#counts = [];
  }

  /** Requests by slice, health checks left out. */
  counts(): number[] {
    return Array.from(this.#counts, (count) => count ?? 0);
  }

  /** Behaves differently from now on. */
  async become(behaviour: Behaviour): Promise<void> {
    const before = this.#behaviour;
    this.#behaviour = behaviour;
    if (before.kind === 'silent') for (const socket of this.#hung) socket.destroy();
    if (behaviour.kind === 'down') this.close();
    else if (this.#server === undefined) await this.open();
  }

  /** Stops listening and closes every connection. */
  close(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const isHealth = request.url === HEALTH;
    if (!isHealth) this.#count();
    if (this.#behaviour.kind === 'silent') this.#hung.add(request.socket);
    else if (isHealth) answer(response, 200);
    else this.#answer(request, response);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const behaviour = this.#behaviour;
    if (behaviour.kind === 'failing' && this.#random() < behaviour.share) {
      answer(response, 503);
      return;
    }
    const done = () => {
      // What was under way when the endpoint fell silent stays without an answer, too.
      if (this.#behaviour.kind === 'silent') this.#hung.add(request.socket);
      else answer(response, 200);
    };
    this.#work(behaviour.kind === 'slow' ? () => setTimeout(done, behaviour.addedMs) : done);
  }

  #count(): void {
    const slice = Math.floor((performance.now() - this.#since) / SLICE_MS);
    if (slice >= 0) this.#counts[slice] = (this.#counts[slice] ?? 0) + 1;
  }
}

function answer(response: ServerResponse, status: number): void {
  if (response.destroyed) return;
  response.writeHead(status, { 'content-type': 'text/plain', 'content-length': BODY.length });
  response.end(BODY);
}
