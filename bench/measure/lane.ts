// One keep-alive HTTP/1.1 client connection, as thin as it can be: a GET out, an answer with a content-length in.

import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectSecure } from 'node:tls';

/** Where a lane leads. */
export interface LaneTarget {
  readonly port: number;
  readonly path: string;
  readonly secure: boolean;
  /** The source address, 127.0.0.1 to 127.255.255.254; undefined: the system's choice. */
  readonly from?: string;
}

/** A connection that carries one request at a time. */
export class Lane {
  readonly #socket: Socket;
  readonly #head: string;
  #rest = -1;
  #buffer = '';
  #done: ((failure: Error | undefined) => void) | undefined;
  #closed: Error | undefined;

  private constructor(socket: Socket, path: string) {
    this.#socket = socket;
    this.#head = `GET ${path} HTTP/1.1\r\nHost: bench.example.test\r\n\r\n`;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection was closed')));
  }

  /** Connects; rejects when that fails. */
  static open(target: LaneTarget): Promise<Lane> {
    const { port, from } = target;
    const at = {
      host: '127.0.0.1',
      port,
      noDelay: true,
      ...(from === undefined ? {} : { localAddress: from }),
    };
    return new Promise((resolve, reject) => {
      const ready = () => {
        socket.off('error', reject);
        resolve(new Lane(socket, target.path));
      };
      const socket: Socket = target.secure
        ? connectSecure({ ...at, rejectUnauthorized: false, servername: 'localhost' }, ready)
        : connectPlain(at, ready);
      socket.once('error', reject);
    });
  }

  /** Whether the connection still stands. */
  get isOpen(): boolean {
    return this.#closed === undefined;
  }

  /** Sends the request; `done` is called once, with the failure if there was one. */
  ask(done: (failure: Error | undefined) => void): void {
    if (this.#closed !== undefined) {
      done(this.#closed);
      return;
    }
    this.#done = done;
    this.#socket.write(this.#head, 'latin1');
  }

  /** Sends the request; resolves with the complete answer. */
  request(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.ask((failure) => (failure === undefined ? resolve() : reject(failure)));
    });
  }

  /** Closes at once. */
  close(): void {
    this.#done = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.#rest >= 0) {
      this.#count(chunk.length);
      return;
    }
    this.#buffer += chunk.toString('latin1');
    const end = this.#buffer.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#buffer.slice(0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (!head.startsWith('HTTP/1.1 200 ') || length === undefined) {
      this.#socket.destroy();
      this.#fail(new Error(`not a plain 200: ${head.split('\r\n')[0] ?? ''}`));
      return;
    }
    this.#rest = Number(length);
    const body = this.#buffer.length - end - 4;
    this.#buffer = '';
    this.#count(body);
  }

  #count(bytes: number): void {
    this.#rest -= bytes;
    if (this.#rest > 0) return;
    if (this.#rest < 0) {
      this.#socket.destroy();
      this.#fail(new Error('more bytes than the answer announced'));
      return;
    }
    this.#rest = -1;
    this.#settle(undefined);
  }

  #fail(error: Error): void {
    this.#closed ??= error;
    this.#settle(this.#closed);
  }

  #settle(failure: Error | undefined): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(failure);
  }
}
