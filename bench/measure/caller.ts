// A client of one port: as many keep-alive HTTP/1.1 connections as it needs, one request at a time on each. In: paths;
// out: for every request exactly one outcome.

import { connect, type Socket } from 'node:net';
import { AnswerReader } from './answer.js';

/** A status, or no answer: refused, closed, or given up. */
export type Outcome = number | 'lost';

/** More connections than this to one port are not opened; a request that would need one is lost. */
const MOST = 8000;

/** Calls one port of 127.0.0.1. */
export class Caller {
  readonly #port: number;
  readonly #giveUpMs: number;
  readonly #idle: Wire[] = [];
  readonly #all = new Set<Wire>();

  constructor(port: number, giveUpMs: number) {
    this.#port = port;
    this.#giveUpMs = giveUpMs;
  }

  /** Sends a GET; `done` is called once. No request is sent twice. */
  get(path: string, done: (outcome: Outcome) => void): void {
    const wire = this.#idle.pop() ?? this.#open();
    if (wire === undefined) {
      done('lost');
      return;
    }
    const timer = setTimeout(() => wire.fail(), this.#giveUpMs);
    wire.send(path, (outcome) => {
      clearTimeout(timer);
      if (wire.isFree) this.#idle.push(wire);
      done(outcome);
    });
  }

  /** Closes everything; requests under way are lost. */
  close(): void {
    for (const wire of this.#all) wire.fail();
  }

  #open(): Wire | undefined {
    if (this.#all.size >= MOST) return undefined;
    const wire = new Wire(this.#port, () => {
      this.#all.delete(wire);
      const at = this.#idle.indexOf(wire);
      if (at >= 0) this.#idle.splice(at, 1);
    });
    this.#all.add(wire);
    return wire;
  }
}

/** One connection. */
class Wire {
  readonly #socket: Socket;
  readonly #reader = new AnswerReader();
  #done: ((outcome: Outcome) => void) | undefined;
  #isOpen = true;

  constructor(port: number, onEnd: () => void) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#socket.on('error', () => {}); // `close` follows
    this.#socket.on('end', () => this.#over());
    this.#socket.on('close', () => {
      onEnd();
      this.#over();
    });
  }

  /** Whether it can carry another request. */
  get isFree(): boolean {
    return this.#isOpen && this.#done === undefined;
  }

  send(path: string, done: (outcome: Outcome) => void): void {
    this.#done = done;
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: bench.example.test\r\n\r\n`, 'latin1');
  }

  /** Closes; a request under way is lost. */
  fail(): void {
    this.#isOpen = false;
    this.#socket.destroy();
    this.#settle('lost');
  }

  #take(chunk: Buffer): void {
    if (this.#done === undefined) {
      this.fail();
      return;
    }
    try {
      const answer = this.#reader.take(chunk);
      if (answer === undefined) return;
      if (!answer.isReusable) {
        this.#isOpen = false;
        this.#socket.destroy();
      }
      this.#settle(answer.status);
    } catch {
      this.fail();
    }
  }

  #over(): void {
    this.#isOpen = false;
    this.#settle(this.#reader.end()?.status ?? 'lost');
    this.#socket.destroy();
  }

  #settle(outcome: Outcome): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(outcome);
  }
}
