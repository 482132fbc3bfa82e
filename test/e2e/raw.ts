// Ends of connections that are no HTTP, and what the proxy says of them.

import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import type { TulleProxy } from '../../src/index.js';
import type { Scope } from '../process.js';
import { PATIENCE_MS, Wire } from './wire.js';

/** A server whose ends of connections are in the test's hand. */
export class Server {
  readonly wires: Wire[] = [];
  readonly #server: net.Server;
  #taken = 0;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  /** Starts listening; ends with the scope. `serve` gets each connection. */
  static async start(
    scope: Scope,
    { port, serve, secure }: { port: number; serve?: (wire: Wire) => void; secure?: tls.TlsOptions },
  ): Promise<Server> {
    const listener =
      secure === undefined ? net.createServer({ allowHalfOpen: true }) : tls.createServer(secure);
    const server = new Server(listener);
    listener.on(secure === undefined ? 'connection' : 'secureConnection', (socket: net.Socket) => {
      const wire = new Wire(socket);
      server.wires.push(wire);
      serve?.(wire);
    });
    listener.listen(port, '127.0.0.1');
    await once(listener, 'listening');
    scope.teardown(() => server.stop());
    return server;
  }

  /** The next connection that was not handed out yet. */
  async next(): Promise<Wire> {
    const found = await eventually(() => this.wires[this.#taken], 'a connection to the server');
    this.#taken += 1;
    return found;
  }

  /** Connections in all. */
  get count(): number {
    return this.wires.length;
  }

  /** Listens no more and ends what is open. */
  stop(): void {
    this.#server.close();
    for (const { socket } of this.wires) socket.destroy();
  }
}

/** Sends back what comes, ends when the other side does. */
export function echo({ socket }: Wire): void {
  socket.on('data', (part: string) => void socket.write(part, 'latin1')).on('end', () => socket.end());
}

/** Waits until this is something; looks every few milliseconds. */
export async function eventually<T>(look: () => T | undefined, what: string): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** One line of the access log. */
export interface Line extends Readonly<Record<string, unknown>> {
  readonly reason: string;
  readonly detail: string | null;
  readonly listener: string;
  readonly service: string | null;
  readonly sni: string | null;
  readonly peer: string;
  readonly peer_id: string | null;
  readonly flags: readonly string[];
  readonly body_in: number;
  readonly body_out: number;
  readonly duration_ms: number;
}

/** An access log that is read as it is written. */
export class Log {
  readonly file: string;
  #read = 0;

  constructor(file: string) {
    this.file = file;
  }

  /** The next `count` lines that were not handed out yet. */
  async next(count = 1): Promise<Line[]> {
    const lines = await eventually(() => {
      const text = existsSync(this.file) ? readFileSync(this.file, 'utf8') : '';
      const all = text.split('\n').slice(0, -1);
      return all.length >= this.#read + count ? all : undefined;
    }, `${count} lines after ${this.#read} in ${this.file}`);
    const found = lines.slice(this.#read, this.#read + count).map((line) => JSON.parse(line) as Line);
    this.#read += count;
    return found;
  }

  /** The next one. */
  async one(): Promise<Line> {
    const [line] = await this.next();
    if (line === undefined) throw new Error('no line');
    return line;
  }
}

interface Forwarded {
  readonly listener: string;
  readonly service: string;
  readonly reason: string;
  readonly connections: number;
  readonly bytes: { readonly in: number; readonly out: number };
}

/** How many connections of a listener ended for each reason. */
export function ended(proxy: TulleProxy, listener: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const entry of proxy.stats().forwarded as Forwarded[]) {
    if (entry.listener === listener) counts[entry.reason] = (counts[entry.reason] ?? 0) + entry.connections;
  }
  return counts;
}

/** The bytes with which a TLS client of these options begins. */
export async function clientHello(scope: Scope, options: tls.ConnectionOptions): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const client = tls.connect({ ...options, port, host: '127.0.0.1', rejectUnauthorized: false });
  client.on('error', () => {});
  scope.teardown(() => void client.destroy());
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  let bytes = Buffer.alloc(0);
  while (bytes.length < 5 || bytes.length < 5 + bytes.readUInt16BE(3)) {
    const [part] = (await once(socket, 'data')) as [Buffer];
    bytes = Buffer.concat([bytes, part]);
  }
  socket.destroy();
  server.close();
  return bytes;
}

/** The same handshake message in records of this many bytes. */
export function fragmented(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

/** A PROXY header of version 2, IPv4. */
export function proxyV2(source: string, port: number, extensions: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x11', 'latin1');
  const addresses = Buffer.from([...source.split('.').map(Number), 198, 51, 100, 2]);
  const ports = Buffer.from([port >> 8, port & 255, 1, 187]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(12 + extensions.length);
  return Buffer.concat([head, length, addresses, ports, extensions]);
}
