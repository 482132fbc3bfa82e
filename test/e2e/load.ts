// Load for tests: clients that keep their connections and ask again as soon as they are answered.

import type net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Scope } from '../process.js';
import { Wire } from './wire.js';

/** What came of it. */
export interface LoadResult {
  readonly answered: number;
  /** Requests on a connection that had served before, or could be made anew, without a complete 200. */
  readonly failures: readonly string[];
  /** Every body that came, once. */
  readonly bodies: readonly string[];
}

/** What to ask. */
export interface LoadOptions {
  readonly to: net.TcpNetConnectOpts;
  readonly connections?: number;
  /** True: a refused connection is the end, not a failure, and so is the loss of one that never served. */
  readonly untilRefused?: boolean;
  /** Each client rests so long after an answer; not at all by default. */
  readonly pauseMs?: number;
}

/** Clients at work. */
export class Load {
  #answered = 0;
  #over = false;
  readonly #failures: string[] = [];
  readonly #bodies = new Set<string>();
  readonly #scope: Scope;
  readonly #options: LoadOptions;
  readonly #clients: Promise<unknown>;
  #waiting: { count: number; resolve: () => void }[] = [];

  private constructor(scope: Scope, options: LoadOptions) {
    this.#scope = scope;
    this.#options = options;
    const { connections = 24 } = options;
    this.#clients = Promise.all(Array.from({ length: connections }, () => this.#client()));
  }

  /** Begins; resolves when every client was answered about once. */
  static async start(scope: Scope, options: LoadOptions): Promise<Load> {
    const load = new Load(scope, options);
    await load.more(options.connections ?? 24);
    return load;
  }

  /** Waits for this many more answers. */
  more(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ count: this.#answered + count, resolve });
    });
  }

  /** Waits for the clients, which end by themselves where connections are refused. */
  async end(): Promise<LoadResult> {
    await this.#clients;
    return { answered: this.#answered, failures: this.#failures, bodies: [...this.#bodies].sort() };
  }

  /** Ends after the requests under way. */
  stop(): Promise<LoadResult> {
    this.#over = true;
    return this.end();
  }

  async #client(): Promise<void> {
    while (!this.#over) {
      const wire = await Wire.connect(this.#scope, this.#options.to).catch((cause: Error) => {
        if (!this.#options.untilRefused) this.#failures.push(`connect: ${cause.message}`);
        return undefined;
      });
      if (wire === undefined) return;
      await this.#use(wire);
      wire.socket.destroy();
    }
  }

  /** Uses a connection until it is told to close. */
  async #use(wire: Wire): Promise<void> {
    for (let served = 0; !this.#over; served += 1) {
      await wire.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      const answer = await wire.final().catch((cause: Error) => {
        this.#failures.push(cause.message);
        return undefined;
      });
      if (answer?.status !== 200 || !answer.whole) {
        const excused = answer === undefined && served === 0 && this.#options.untilRefused;
        if (!excused)
          this.#failures.push(`request ${served} of a connection: ${answer?.line ?? 'no answer'}`);
        return;
      }
      this.#bodies.add(answer.body);
      this.#count();
      if (answer.all('connection').join().includes('close')) return;
      if (this.#options.pauseMs !== undefined) await pause(this.#options.pauseMs);
    }
  }

  #count(): void {
    this.#answered += 1;
    const due = this.#waiting.filter(({ count }) => count <= this.#answered);
    if (due.length === 0) return;
    this.#waiting = this.#waiting.filter(({ count }) => count > this.#answered);
    for (const { resolve } of due) resolve();
  }
}
