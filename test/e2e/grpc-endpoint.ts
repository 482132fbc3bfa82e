// An endpoint that speaks gRPC as far as tests need it, whose behaviour a test switches as it goes.

import { once } from 'node:events';
import http2 from 'node:http2';
import type { Scope } from '../process.js';

/** What a gRPC endpoint does with a call. */
export type GrpcAnswer = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void;

/** A switchable endpoint. Health checks are answered and kept apart from all else. */
export class GrpcEndpoint {
  readonly port: number;
  /** Heads of calls, health checks apart. */
  readonly seen: http2.IncomingHttpHeaders[] = [];
  /** Bodies of health checks. */
  readonly checked: string[] = [];
  /** What health checks are told: 1 is SERVING. */
  serving = 1;
  /** What happens to calls, once they are whole; they go well by default. */
  answer: GrpcAnswer = (stream) => finish(stream, '0', { body: true });

  private constructor(port: number) {
    this.port = port;
  }

  /** Starts listening; ends with the scope. */
  static async start(scope: Scope, port: number): Promise<GrpcEndpoint> {
    const endpoint = new GrpcEndpoint(port);
    const server = http2.createServer();
    const sessions = new Set<http2.ServerHttp2Session>();
    server.on('session', (found) => void sessions.add(found));
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => endpoint.#serve(stream, headers, Buffer.concat(parts)));
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    scope.teardown(() => {
      server.close();
      for (const found of sessions) found.destroy();
    });
    return endpoint;
  }

  /** As a configuration names it. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  #serve(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, body: Buffer): void {
    if (headers[':path'] === '/grpc.health.v1.Health/Check') {
      this.checked.push(body.toString('latin1'));
      finish(stream, '0', { body: Buffer.from([0, 0, 0, 0, 2, 8, this.serving]) });
      return;
    }
    this.seen.push(headers);
    this.answer(stream, headers);
  }
}

/** How a call ends. */
interface Ending {
  /** There is a message before the status: this one, or any. */
  readonly body?: boolean | Buffer;
  /** False: the status stands in the only head. */
  readonly head?: boolean;
  /** Further fields beside the status. */
  readonly more?: object;
  /** The status comes after this; what stands before it comes at once. */
  readonly held?: Promise<unknown>;
}

/** Ends a call with this status: at once, or behind a head alone, or behind a message. */
export function finish(
  stream: http2.ServerHttp2Stream,
  status: string,
  { body, head = true, more = {}, held }: Ending = {},
): void {
  const last = { 'grpc-status': status, ...more };
  const first = { ':status': 200, 'content-type': 'application/grpc' };
  const message = Buffer.isBuffer(body) ? body : Buffer.from([0, 0, 0, 0, 1, 7]);
  if (!head) {
    const respond = (): void => stream.respond({ ...first, ...last }, { endStream: true });
    if (held === undefined) respond();
    else void held.then(respond);
    return;
  }
  stream.respond(first, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(last));
  if (held !== undefined) {
    if (body !== undefined) stream.write(message);
    void held.then(() => stream.end());
  } else if (body === undefined) stream.end();
  else stream.end(message);
}
