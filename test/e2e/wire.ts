// Raw HTTP/1 ends for tests: a client that sends bytes as they are and reads answers strictly, and an upstream that
// records what reached it, byte for byte. Text is latin1 everywhere, so that every byte is one character.

import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import tls from 'node:tls';
import type { Scope } from '../process.js';

/** More than anything takes that is waited for. */
export const PATIENCE_MS = 15_000;

/** A head and body as they stood on the wire. */
export interface Message {
  /** The first line. */
  readonly line: string;
  /** The other lines of the head. */
  readonly fields: readonly string[];
  /** With its framing undone. */
  readonly body: string;
  /** False: the connection ended before the message did. */
  readonly whole: boolean;
}

/** An answer. */
export interface RawAnswer extends Message {
  readonly status: number;
  /** The values of the fields with this name. */
  all(name: string): string[];
}

/** Values of the fields with this name, in any letter case. */
export function valuesOf({ fields }: Message, name: string): string[] {
  const prefix = `${name.toLowerCase()}:`;
  return fields
    .filter((field) => field.toLowerCase().startsWith(prefix))
    .map((field) => field.slice(prefix.length).trim());
}

/** Resolves when `done` says so; rejects after the patience. `changed` must be called whenever `done` may differ. */
class Watch {
  readonly #waiting = new Set<() => void>();

  changed(): void {
    for (const look of [...this.#waiting]) look();
  }

  until<T>(done: () => T | undefined, what: () => string): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = done();
        if (found === undefined) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`nothing came of it within ${PATIENCE_MS} ms: ${what()}`));
      }, PATIENCE_MS);
      this.#waiting.add(look);
      look();
    });
  }
}

/** How a body was taken off a buffer. */
interface Taken {
  readonly body: string;
  /** Characters used, of whole messages only. */
  readonly used: number;
  readonly whole: boolean;
}

/** Undoes the chunked coding, strictly; undefined: not all there. Throws for what is no chunked body. */
function takeChunks(text: string): Taken | undefined {
  let at = 0;
  let body = '';
  for (;;) {
    const end = text.indexOf('\r\n', at);
    if (end === -1) return undefined;
    const size = text.slice(at, end);
    if (!/^[0-9a-f]+$/i.test(size)) throw new Error(`no chunk size: ${JSON.stringify(size)}`);
    const length = Number.parseInt(size, 16);
    at = end + 2;
    if (length === 0) break;
    if (text.length < at + length + 2) return undefined;
    if (text.slice(at + length, at + length + 2) !== '\r\n') throw new Error('a chunk does not end');
    body += text.slice(at, at + length);
    at += length + 2;
  }
  for (;;) {
    const end = text.indexOf('\r\n', at);
    if (end === -1) return undefined;
    if (end === at) return { body, used: at + 2, whole: true };
    body += `\n${text.slice(at, end)}`;
    at = end + 2;
  }
}

function splitHead(text: string): { line: string; fields: string[]; used: number } | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [line = '', ...fields] = text.slice(0, end).split('\r\n');
  return { line, fields, used: end + 4 };
}

/** The client's end of a connection. */
export class Wire {
  /** What came and was not read yet. */
  text = '';
  /** The other end closed its half, or all of it. */
  ended = false;
  /** The connection broke (reset) instead of ending. */
  broken = false;
  readonly socket: net.Socket;
  readonly #watch = new Watch();

  constructor(socket: net.Socket) {
    this.socket = socket.setNoDelay(true);
    socket.setEncoding('latin1').on('data', (part: string) => {
      this.text += part;
      this.#watch.changed();
    });
    for (const event of ['end', 'close', 'error'] as const) {
      socket.on(event, () => {
        this.ended = true;
        this.broken ||= event === 'error';
        this.#watch.changed();
      });
    }
  }

  /** Connects; the connection ends with the scope. */
  static async connect(scope: Scope, to: net.NetConnectOpts | tls.ConnectionOptions): Promise<Wire> {
    const secure = 'ca' in to || 'rejectUnauthorized' in to;
    const socket = secure
      ? tls.connect(to)
      : net.connect({ allowHalfOpen: true, ...to } as net.NetConnectOpts);
    const wire = new Wire(socket);
    scope.teardown(() => void socket.destroy());
    await new Promise<void>((resolve, reject) => {
      socket.once(secure ? 'secureConnect' : 'connect', resolve).once('error', reject);
    });
    return wire;
  }

  /** Sends each piece in a segment of its own. Bytes that the other end no longer takes are no failure. */
  async send(...pieces: string[]): Promise<void> {
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) for (let count = 0; count < 3; count += 1) await turn();
      if (this.socket.destroyed || this.socket.writableEnded) return;
      await new Promise<void>((resolve) => {
        this.socket.write(piece, 'latin1', () => resolve());
      });
    }
  }

  /** Says that nothing more will be sent. */
  finish(): void {
    this.socket.end();
  }

  /** Waits for the next answer, interim ones included; undefined: the connection ended first. */
  answer(method = 'GET'): Promise<RawAnswer | undefined> {
    const take = (): { answer: RawAnswer | undefined } | undefined => {
      const found = this.#take(method);
      if (found !== undefined) return { answer: found };
      return this.ended ? { answer: undefined } : undefined;
    };
    const what = (): string => `an answer, after ${JSON.stringify(this.text.slice(0, 300))}`;
    return this.#watch.until(take, what).then(({ answer }) => answer);
  }

  /** Waits for the next answer that is not an interim one. */
  async final(method = 'GET'): Promise<RawAnswer | undefined> {
    for (;;) {
      const answer = await this.answer(method);
      if (answer === undefined || answer.status >= 200 || answer.status === 101) return answer;
    }
  }

  /** Waits until the other end has closed. */
  async closed(): Promise<void> {
    await this.#watch.until(
      () => this.ended || undefined,
      () => 'the end of the connection',
    );
  }

  /** Waits for this much of what is not read yet. */
  async bytes(count: number): Promise<string> {
    await this.#watch.until(
      () => this.text.length >= count || undefined,
      () => `${count} bytes, after ${JSON.stringify(this.text)}`,
    );
    const found = this.text.slice(0, count);
    this.text = this.text.slice(count);
    return found;
  }

  #take(method: string): RawAnswer | undefined {
    const head = splitHead(this.text);
    if (head === undefined) return undefined;
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head.line)?.[1]);
    if (Number.isNaN(status)) throw new Error(`no status line: ${JSON.stringify(head.line)}`);
    const message = { line: head.line, fields: head.fields, body: '', whole: true };
    const values = (name: string): string[] => valuesOf(message, name);
    const taken = this.#takeBody(this.text.slice(head.used), {
      empty: method === 'HEAD' || status < 200 || status === 204 || status === 304,
      chunked: values('transfer-encoding').join() === 'chunked',
      length: values('content-length')[0],
    });
    if (taken === undefined) return undefined;
    this.text = this.text.slice(head.used + taken.used);
    return { ...message, body: taken.body, whole: taken.whole, status, all: values };
  }

  #takeBody(
    text: string,
    { empty, chunked, length }: { empty: boolean; chunked: boolean; length: string | undefined },
  ): Taken | undefined {
    if (empty) return { body: '', used: 0, whole: true };
    const cut = this.ended ? { body: text, used: text.length, whole: false } : undefined;
    if (chunked) return takeChunks(text) ?? cut;
    if (length === undefined) return cut === undefined ? undefined : { ...cut, whole: !this.broken };
    const count = Number(length);
    if (text.length < count) return cut;
    return { body: text.slice(0, count), used: count, whole: true };
  }
}

/** A request that reached the upstream. */
export interface Got extends Message {
  /** Which connection it came on, from 0. */
  readonly connection: number;
}

/** What the upstream's end of a connection holds. */
export interface UpstreamConn {
  readonly index: number;
  readonly socket: net.Socket;
}

/** How an upstream behaves. */
export interface RecorderOptions {
  readonly listen: number | string;
  /** Called with each whole request; answers `ok` by default. What it returns is sent. */
  readonly answer?: (got: Got, conn: UpstreamConn) => string | undefined;
  /** Called with each head, before its body is there. */
  readonly onHead?: (head: Got, conn: UpstreamConn) => void;
  /** Called when a connection opens. */
  readonly onConnection?: (conn: UpstreamConn) => void;
  /** Speaks TLS with this. */
  readonly tls?: tls.TlsOptions;
}

/** The plain answer of an upstream. */
export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** The plain answer to any method. */
export function plainAnswer({ line }: Message): string {
  return line.startsWith('HEAD ') ? OK.slice(0, -2) : OK;
}

/** An upstream that keeps all it got. */
export class Recorder {
  /** Whole requests, and those that were cut. */
  requests: Got[] = [];
  /** Bytes that are no part of any request. */
  garbage: string[] = [];
  connections = 0;
  readonly sockets = new Set<net.Socket>();
  answer: (got: Got, conn: UpstreamConn) => string | undefined;
  readonly #options: RecorderOptions;
  readonly #watch = new Watch();

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.answer = options.answer ?? plainAnswer;
  }

  /** Starts listening; ends with the scope. */
  static async start(scope: Scope, options: RecorderOptions): Promise<Recorder> {
    const recorder = new Recorder(options);
    const take = (socket: net.Socket): void => recorder.#take(socket);
    const server =
      options.tls === undefined
        ? net.createServer({ allowHalfOpen: true }, take)
        : tls.createServer(options.tls, take);
    const { listen } = options;
    const to = typeof listen === 'string' ? { path: listen } : { port: listen, host: '127.0.0.1' };
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(to, resolve);
    });
    scope.teardown(() => {
      server.close();
      for (const socket of recorder.sockets) socket.destroy();
    });
    return recorder;
  }

  /** What came so far; begins anew. */
  flush(): Got[] {
    const found = this.requests;
    this.requests = [];
    return found;
  }

  /** Waits until this holds. */
  until<T>(done: () => T | undefined): Promise<T> {
    return this.#watch.until(
      done,
      () => `upstream got ${JSON.stringify(this.requests.map(({ line }) => line))}`,
    );
  }

  #take(socket: net.Socket): void {
    const conn = { index: this.connections, socket };
    this.connections += 1;
    this.sockets.add(socket);
    let rest = '';
    let headSeen = false;
    socket.setNoDelay(true).setEncoding('latin1');
    socket.on('data', (part: string) => {
      rest += part;
      for (;;) {
        const head = splitHead(rest);
        if (head === undefined) break;
        const got = { ...head, body: '', whole: false, connection: conn.index };
        if (!headSeen) this.#options.onHead?.(got, conn);
        headSeen = true;
        const taken = takeRequestBody(rest.slice(head.used), got);
        if (taken === undefined) break;
        rest = rest.slice(head.used + taken.used);
        headSeen = false;
        this.#done(
          { line: got.line, fields: got.fields, body: taken.body, whole: true, connection: conn.index },
          conn,
        );
      }
      this.#watch.changed();
    });
    const over = (): void => {
      this.sockets.delete(socket);
      const head = splitHead(rest);
      if (head !== undefined) {
        const body = rest.slice(head.used);
        this.requests.push({
          line: head.line,
          fields: head.fields,
          body,
          whole: false,
          connection: conn.index,
        });
      } else if (rest !== '') this.garbage.push(rest);
      rest = '';
      if (!socket.writableEnded) socket.end();
      this.#watch.changed();
    };
    socket.on('end', over).on('close', over).on('error', over);
    this.#options.onConnection?.(conn);
    this.#watch.changed();
  }

  #done(got: Got, conn: UpstreamConn): void {
    this.requests.push(got);
    const answer = this.answer(got, conn);
    if (answer !== undefined && !conn.socket.destroyed) conn.socket.write(answer, 'latin1');
  }
}

function takeRequestBody(text: string, message: Message): Taken | undefined {
  const [coding] = valuesOf(message, 'transfer-encoding');
  if (coding !== undefined) return takeChunks(text);
  const length = Number(valuesOf(message, 'content-length')[0] ?? '0');
  return text.length < length ? undefined : { body: text.slice(0, length), used: length, whole: true };
}
