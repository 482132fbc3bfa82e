// Both versions of HTTP by one name, for tests of what comes out of one and goes into the other: a client that shows all
// it got, and an upstream that says what it got.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { Scope } from '../process.js';
import { PATIENCE_MS } from './wire.js';

/** Which version. */
export type Version = 1 | 2;

/** What to ask. */
export interface Question {
  readonly path: string;
  readonly method?: string;
  /** Several values are fields of their own, in this order. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: Buffer;
  readonly trailers?: Readonly<Record<string, string>>;
}

/** What came. */
export interface Told {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, unknown>>;
  /** Statuses of interim answers. */
  readonly interim: readonly number[];
}

/** A client of either version, on one connection. */
export interface Client {
  ask(question: Question): Promise<Told>;
}

/** Connects; ends with the scope. */
export async function connect(scope: Scope, version: Version, port: number): Promise<Client> {
  return version === 1 ? oneClient(scope, port) : new TwoClient(await session(scope, port));
}

/** An HTTP/2 session: by prior knowledge, or over TLS with a server that `ca` vouches for; ends with the scope. */
export async function session(scope: Scope, port: number, ca?: Buffer): Promise<http2.ClientHttp2Session> {
  const scheme = ca === undefined ? 'http' : 'https';
  const found = http2.connect(`${scheme}://127.0.0.1:${port}`, ca === undefined ? {} : { ca });
  found.on('error', () => {});
  scope.teardown(() => found.destroy());
  await once(found, 'connect');
  return found;
}

function oneClient(scope: Scope, port: number): Client {
  const agent = new http.Agent({ keepAlive: true });
  scope.teardown(() => agent.destroy());
  const ask = async (question: Question): Promise<Told> => {
    const { path, method = 'GET', headers = {}, body, trailers } = question;
    const fields = { ...headers, ...(trailers && { 'transfer-encoding': 'chunked' }) };
    const request = http.request({ host: '127.0.0.1', port, path, method, headers: fields, agent });
    request.setTimeout(PATIENCE_MS, () => request.destroy(new Error(`no answer: ${path}`)));
    const interim: number[] = [];
    request.on('information', ({ statusCode }) => interim.push(statusCode));
    if (headers.expect !== undefined) {
      request.flushHeaders();
      await Promise.race([once(request, 'continue'), once(request, 'response')]);
      interim.push(100);
    }
    if (trailers !== undefined) request.addTrailers(trailers);
    request.end(body);
    const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
    const parts: Buffer[] = [];
    for await (const part of answer) parts.push(part as Buffer);
    const { statusCode: status = 0, headers: got, trailers: last } = answer;
    return { status, headers: got, body: Buffer.concat(parts), trailers: last, interim };
  };
  return { ask };
}

/** A client on a session. */
export class TwoClient implements Client {
  readonly session: http2.ClientHttp2Session;

  constructor(found: http2.ClientHttp2Session) {
    this.session = found;
  }

  /** One request on a stream of its own. */
  async ask(question: Question): Promise<Told> {
    const { path, method = 'GET', headers = {}, body, trailers } = question;
    const fields = { ':path': path, ':method': method, ...headers };
    const options = {
      endStream: body === undefined && trailers === undefined,
      waitForTrailers: trailers !== undefined,
    };
    const stream = this.session.request(fields, options);
    stream.setTimeout(PATIENCE_MS, () => stream.destroy(new Error(`no answer: ${path}`)));
    if (trailers !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    const interim: number[] = [];
    stream.on('headers', (got) => interim.push(Number(got[':status'])));
    stream.on('continue', () => interim.push(100));
    let last: Readonly<Record<string, unknown>> = {};
    stream.on('trailers', (got: Record<string, unknown>) => {
      last = got;
    });
    const answered = once(stream, 'response') as Promise<[http2.IncomingHttpHeaders]>;
    if (headers.expect !== undefined) {
      await Promise.race([once(stream, 'continue'), answered]);
    }
    if (!options.endStream) stream.end(body);
    const [got] = await answered;
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part as Buffer);
    const status = Number(got[':status']);
    return { status, headers: got, body: Buffer.concat(parts), trailers: last, interim };
  }
}

/** What the upstream tells about a body. */
export function digest(body: Buffer): string {
  return `${body.length} ${createHash('sha1').update(body).digest('hex')}`;
}

/** Bytes that repeat late. */
export function filler(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1) bytes[at] = (at * 31 + (at >> 8) * 7) & 255;
  return bytes;
}

type Request = http.IncomingMessage | http2.Http2ServerRequest;
type Answer = http.ServerResponse | http2.Http2ServerResponse;

/** What an upstream saw. */
export interface Seen {
  /** Requests begun, in all. */
  begun: number;
  /** Requests that ended before they were whole, or were answered. */
  aborted: number;
  /** Requests under way, and the most there ever were. */
  open: number;
  most: number;
  /** Sessions or connections. */
  connections: number;
}

/**
 * An upstream of one version; it ends with the scope. `/echo` tells in `x-got` what came and answers `x-size` bytes, with
 * the trailer it got sent back; `/status/N` that status; `/interim` a 103 before; `/early` 403 without reading; `/cut`
 * breaks off in the middle; `/never` does not answer; `/slow` answers after 20 ms.
 */
export async function startEither(scope: Scope, version: Version, port: number): Promise<Seen> {
  const seen: Seen = { begun: 0, aborted: 0, open: 0, most: 0, connections: 0 };
  const take = (request: Request, answer: Answer): void => {
    seen.begun += 1;
    seen.open += 1;
    seen.most = Math.max(seen.most, seen.open);
    answer.on('close', () => {
      seen.open -= 1;
      if (!answer.writableEnded) seen.aborted += 1;
    });
    void serve(request, answer).catch(() => {});
  };
  const server = version === 1 ? http.createServer(take) : http2.createServer(take);
  const sockets = new Set<{ destroy(): unknown }>();
  server.on('connection', (socket) => {
    seen.connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  scope.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return seen;
}

async function serve(request: Request, answer: Answer): Promise<void> {
  const [, verb = '', word = ''] = (request.url ?? '').split('/');
  const respond = answer as http.ServerResponse;
  if (verb === 'early') {
    respond.writeHead(403, { 'content-length': '2' });
    respond.end('no');
    return;
  }
  if (verb === 'never') return;
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  if (verb === 'slow') await new Promise((resolve) => setTimeout(resolve, 20));
  if (verb === 'interim') await new Promise<void>((resolve) => earlyHints(answer, resolve));
  if (verb === 'status') {
    respond.writeHead(Number(word), word === '200' ? { 'content-length': '5' } : {});
    respond.end(word === '200' && request.method !== 'HEAD' ? 'hello' : undefined);
    return;
  }
  const size = Number(request.headers['x-size'] ?? '2');
  const trailer = request.trailers['x-last'];
  respond.writeHead(200, {
    'x-got': digest(Buffer.concat(parts)),
    ...(trailer === undefined ? { 'content-length': String(size) } : { trailer: 'x-last' }),
  });
  if (verb === 'cut') {
    respond.write(filler(Math.floor(size / 2)));
    setTimeout(() => breakOff(answer), 20);
    return;
  }
  if (trailer !== undefined) respond.addTrailers({ 'x-last': String(trailer) });
  respond.end(filler(size));
}

function earlyHints(answer: Answer, done: () => void): void {
  const hints = { link: '</style.css>; rel=preload' };
  if ('stream' in answer) {
    answer.stream.additionalHeaders({ ':status': 103, ...hints });
    done();
  } else answer.writeEarlyHints(hints, done);
}

function breakOff(answer: Answer): void {
  if ('stream' in answer) answer.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  else answer.socket?.resetAndDestroy();
}
