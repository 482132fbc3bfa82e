// Small HTTP/1.1 peers for tests: an upstream that says who it is, and a client that shows everything it got.

import { once } from 'node:events';
import http from 'node:http';
import type { Scope } from './process.js';

/** An answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** What to ask for beside the address. */
export interface Ask {
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string;
  /** Keeps the connection for further requests; by default each request has its own. */
  readonly agent?: http.Agent;
}

/** Makes one request; rejects where no complete answer came. */
export async function request(url: string, ask: Ask = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, agent = false } = ask;
  const outgoing = http.request(url, { method, headers, agent, timeout: 10_000 });
  outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within 10 s: ${url}`)));
  outgoing.end(ask.body);
  const [incoming] = (await once(outgoing, 'response')) as [http.IncomingMessage];
  let body = '';
  for await (const part of incoming.setEncoding('utf8')) body += String(part);
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body };
}

/** An upstream on 127.0.0.1 that answers `name`, after `delayMs`. */
export interface Upstream {
  readonly port: number;
  /** Requests so far. */
  readonly seen: http.IncomingMessage[];
}

/** Starts an upstream on this port; it ends with the scope. */
export async function startUpstream(
  scope: Scope,
  { port, name, delayMs = 0 }: UpstreamOptions,
): Promise<Upstream> {
  const seen: http.IncomingMessage[] = [];
  const server = http.createServer((incoming, answer) => {
    seen.push(incoming);
    incoming.resume().on('end', () => setTimeout(() => answer.end(name), delayMs).unref());
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  scope.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port, seen };
}

/** Which upstream. */
export interface UpstreamOptions {
  readonly port: number;
  readonly name: string;
  readonly delayMs?: number;
}
