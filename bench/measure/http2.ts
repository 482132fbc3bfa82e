// A client of HTTP/2 for single requests: the check of answers, and connections that idle. In: a port and headers; out: the
// answer with its trailers.

import { readFileSync } from 'node:fs';
import {
  type ClientHttp2Session,
  connect,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2';
import { connect as connectPlain } from 'node:net';

/** An answer as a whole. */
export interface Http2Answer {
  readonly status: number;
  readonly body: string;
  /** From the trailers. */
  readonly grpcStatus: string | undefined;
}

const TIMEOUT_MS = 5000;

/** Sends one request on a connection; rejects after 5 s. */
export function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: Buffer,
): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined });
    let [status, grpcStatus] = [0, undefined as string | undefined];
    const chunks: Buffer[] = [];
    stream.setTimeout(TIMEOUT_MS, () => stream.destroy(new Error('no answer within 5 s')));
    stream.on('response', (fields) => (status = fields[':status'] ?? 0));
    stream.on('trailers', (fields) => (grpcStatus = fields['grpc-status']?.toString()));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => {
      if (stream.rstCode !== 0) reject(new Error(`the stream was reset with ${stream.rstCode}`));
      else resolve({ status, body: Buffer.concat(chunks).toString('latin1'), grpcStatus });
    });
    if (body !== undefined) stream.end(body);
  });
}

/** One request on a connection of its own; `ca` makes it TLS. */
export async function exchange(job: {
  port: number;
  ca: string | undefined;
  headers: OutgoingHttpHeaders;
  body?: Buffer;
}): Promise<Http2Answer> {
  const { port, ca } = job;
  const options: SecureClientSessionOptions =
    ca === undefined ? {} : { ca: readFileSync(ca), servername: 'localhost' };
  const session = connect(`${ca === undefined ? 'http' : 'https'}://127.0.0.1:${port}`, options);
  const failed = new Promise<never>((_, reject) => session.once('error', reject));
  try {
    return await Promise.race([ask(session, job.headers, job.body), failed]);
  } finally {
    session.destroy();
  }
}

/** A connection over HTTP/2 without TLS that has answered a request now and then, as thin as node:http2 makes it. */
export class Http2Lane {
  readonly #session: ClientHttp2Session;
  readonly #path: string;

  private constructor(session: ClientHttp2Session, path: string) {
    this.#session = session;
    this.#path = path;
    session.on('error', () => {}); // `isOpen` tells
  }

  /** Connects; rejects when that fails. */
  static open(target: { port: number; path: string; from?: string }): Promise<Http2Lane> {
    const { port, from } = target;
    const at = { host: '127.0.0.1', port, ...(from === undefined ? {} : { localAddress: from }) };
    return new Promise((resolve, reject) => {
      const session = connect(`http://127.0.0.1:${port}`, { createConnection: () => connectPlain(at) });
      session.once('error', reject);
      session.once('connect', () => {
        session.off('error', reject);
        resolve(new Http2Lane(session, target.path));
      });
    });
  }

  /** Whether the connection still stands and takes requests. */
  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /** Resolves with the complete answer, if it is a 200. */
  async request(): Promise<void> {
    const { status } = await ask(this.#session, { ':path': this.#path });
    if (status !== 200) throw new Error(`not a plain 200: ${status}`);
  }

  /** Closes at once. */
  close(): void {
    this.#session.destroy();
  }
}
