// Raw HTTP/2 ends for tests: frames as they are, header lists as literals that nothing checks. What comes is kept frame
// by frame; of header lists only the status is read, which the proxy sends first.

import net from 'node:net';
import type { Scope } from '../process.js';
import { PATIENCE_MS } from './wire.js';

/** Frame types (RFC 9113 section 6). */
export const TYPE = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** Flags. */
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;

/** The client's preface without its SETTINGS. */
export const MAGIC = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** A frame. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A frame's bytes. */
export function frame(
  type: number,
  { flags = 0, stream = 0, payload = Buffer.alloc(0) }: Partial<Omit<Frame, 'type'>> = {},
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** 32 bits, as WINDOW_UPDATE and RST_STREAM carry them. */
export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A SETTINGS frame. */
export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.concat(
    pairs.map(([id, value]) => Buffer.concat([Buffer.from([id >> 8, id & 255]), word(value)])),
  );
  return frame(TYPE.SETTINGS, { payload });
}

function integer(value: number, prefix: number, first: number): Buffer {
  const most = 2 ** prefix - 1;
  if (value < most) return Buffer.from([first | value]);
  const bytes = [first | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

/** Name and value, latin1. */
export type Line = readonly [name: string, value: string];

/** A header list as literals without indexing, or, `indexed`, as ones that enter the table. */
export function lines(list: readonly Line[], indexed = false): Buffer {
  const text = (value: string): Buffer[] => {
    const bytes = Buffer.from(value, 'latin1');
    return [integer(bytes.length, 7, 0), bytes];
  };
  return Buffer.concat(
    list.flatMap(([name, value]) => [Buffer.from([indexed ? 0x40 : 0]), ...text(name), ...text(value)]),
  );
}

/** The usual pseudo-header fields. */
export function get(path = '/', method = 'GET'): Line[] {
  return [
    [':method', method],
    [':scheme', 'http'],
    [':authority', 'a'],
    [':path', path],
  ];
}

/** HEADERS, with as many CONTINUATION frames as it takes. */
export function headers(stream: number, list: readonly Line[], end = true): Buffer {
  const block = lines(list);
  const parts: Buffer[] = [];
  for (let at = 0; at < block.length || at === 0; at += 16_384) {
    const last = at + 16_384 >= block.length;
    const flags = (last ? END_HEADERS : 0) | (at === 0 && end ? END_STREAM : 0);
    const payload = block.subarray(at, at + 16_384);
    parts.push(frame(at === 0 ? TYPE.HEADERS : TYPE.CONTINUATION, { flags, stream, payload }));
  }
  return Buffer.concat(parts);
}

/** DATA. */
export function data(stream: number, text: string | Buffer, end = true): Buffer {
  const payload = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
  return frame(TYPE.DATA, { flags: end ? END_STREAM : 0, stream, payload });
}

/** RST_STREAM. */
export function reset(stream: number, code = 8): Buffer {
  return frame(TYPE.RST_STREAM, { stream, payload: word(code) });
}

const DIGITS = new Map([
  ['00000', '0'],
  ['00001', '1'],
  ['00010', '2'],
  ['011001', '3'],
  ['011010', '4'],
  ['011011', '5'],
  ['011100', '6'],
  ['011101', '7'],
  ['011110', '8'],
  ['011111', '9'],
]);

/** The status that begins a header list; undefined: it begins otherwise (trailers). */
export function statusOf(list: Buffer): number | undefined {
  // Changes of the table's size come first (RFC 7541 section 4.2), each of one byte because it shrinks to nothing.
  const block = list.subarray(list.findIndex((byte) => byte >> 5 !== 1));
  const first = block[0] ?? 0;
  const fixed: Record<number, number> = { 8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500 };
  if (first >= 0x80) return fixed[first & 127];
  const index = first >= 0x40 ? first & 63 : first & 15;
  if (index < 8 || index > 14) return undefined;
  const huffman = ((block[1] ?? 0) & 128) !== 0;
  const bytes = block.subarray(2, 2 + ((block[1] ?? 0) & 127));
  if (!huffman) return Number(bytes.toString('latin1'));
  let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  let text = '';
  while (text.length < 3) {
    const code = DIGITS.has(bits.slice(0, 5)) ? bits.slice(0, 5) : bits.slice(0, 6);
    text += DIGITS.get(code) ?? '?';
    bits = bits.slice(code.length);
  }
  return Number(text);
}

/** What came of a stream. */
export interface Outcome {
  /** Statuses, interim ones included. */
  readonly statuses: readonly number[];
  readonly body: string;
  /** `end`: it ended as it should; a number: the code of its RST_STREAM; `goaway`: the connection ended. */
  readonly how: 'end' | 'goaway' | number;
}

/** One end of a connection that speaks HTTP/2. Acknowledges SETTINGS and PING by itself. */
export class Peer {
  /** All that came and was not forgotten. */
  frames: Frame[] = [];
  ended = false;
  /** Answers SETTINGS and PING. */
  polite = true;
  readonly socket: net.Socket;
  #rest: Buffer = Buffer.alloc(0);
  readonly #looking = new Set<() => void>();

  /** `magic`: the bytes of a client's preface come first. */
  constructor(socket: net.Socket, magic = false) {
    this.socket = socket.setNoDelay(true);
    let skip = magic ? MAGIC.length : 0;
    socket.on('data', (part: Buffer) => {
      this.#take(part.subarray(Math.min(skip, part.length)));
      skip = Math.max(0, skip - part.length);
    });
    for (const event of ['end', 'close', 'error'] as const) {
      socket.on(event, () => {
        this.ended = true;
        this.#look();
      });
    }
  }

  /** Connects and sends the preface with these settings; the connection ends with the scope. */
  static async connect(scope: Scope, port: number, first: Buffer = settings([1, 0])): Promise<Peer> {
    const socket = net.connect({ port, host: '127.0.0.1' });
    const peer = new Peer(socket);
    scope.teardown(() => void socket.destroy());
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
    await peer.send(MAGIC, first);
    return peer;
  }

  /** Sends bytes. Those that the other end no longer takes are no failure. */
  async send(...parts: readonly Buffer[]): Promise<void> {
    if (this.socket.destroyed || this.socket.writableEnded) return;
    await new Promise<void>((resolve) => {
      this.socket.write(Buffer.concat(parts), () => resolve());
    });
  }

  /** Waits until this is something. */
  until<T>(done: () => T | undefined, what: string, patience: number = PATIENCE_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = done();
        if (found === undefined) return;
        clearTimeout(timer);
        this.#looking.delete(look);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.#looking.delete(look);
        reject(new Error(`nothing came of it within ${patience} ms: ${what}`));
      }, patience);
      this.#looking.add(look);
      look();
    });
  }

  /** The first frame of a type that came, or comes. Undefined: the connection ended without. */
  async first(type: number): Promise<Frame | undefined> {
    const found = await this.until(
      () => this.frames.find((one) => one.type === type) ?? (this.ended ? 'ended' : undefined),
      `a frame of type ${type}`,
    );
    return found === 'ended' ? undefined : found;
  }

  /** The code of the GOAWAY that came, or comes; undefined: none came. */
  async goaway(): Promise<number | undefined> {
    const found = await this.first(TYPE.GOAWAY);
    return found?.payload.readUInt32BE(4);
  }

  /** Waits until the other end has closed. */
  async closed(patience?: number): Promise<void> {
    await this.until(() => this.ended || undefined, 'the end of the connection', patience);
  }

  /** Waits until a stream is over. */
  outcome(stream: number): Promise<Outcome> {
    return this.until(() => this.over(stream), `the end of stream ${stream}`);
  }

  /** What came of a stream, if it is over. */
  over(stream: number): Outcome | undefined {
    const mine = this.frames.filter((one) => one.stream === stream);
    const heads = mine.filter(({ type }) => type === TYPE.HEADERS);
    const statuses = heads.map(({ payload }) => statusOf(payload)).filter((status) => status !== undefined);
    const bodies = mine.filter(({ type }) => type === TYPE.DATA).map(({ payload }) => payload);
    const body = Buffer.concat(bodies).toString('latin1');
    const broken = mine.find(({ type }) => type === TYPE.RST_STREAM);
    const whole = mine.some(({ type, flags }) => type <= TYPE.HEADERS && (flags & END_STREAM) !== 0);
    if (whole) return { statuses, body, how: 'end' };
    if (broken !== undefined) return { statuses, body, how: broken.payload.readUInt32BE(0) };
    return this.ended ? { statuses, body, how: 'goaway' } : undefined;
  }

  #take(part: Buffer): void {
    this.#rest = this.#rest.length === 0 ? part : Buffer.concat([this.#rest, part]);
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) break;
      const [type = 0, flags = 0] = this.#rest.subarray(3, 5);
      const stream = this.#rest.readUInt32BE(5);
      const payload = Buffer.from(this.#rest.subarray(9, 9 + length));
      this.#rest = this.#rest.subarray(9 + length);
      this.frames.push({ type, flags, stream, payload });
      if (!this.polite || (flags & ACK) !== 0) continue;
      if (type === TYPE.SETTINGS) void this.send(frame(TYPE.SETTINGS, { flags: ACK }));
      if (type === TYPE.PING) void this.send(frame(TYPE.PING, { flags: ACK, payload }));
    }
    this.#look();
  }

  #look(): void {
    for (const look of [...this.#looking]) look();
  }
}

/** Opens a listening socket of which each connection is handed over; ends with the scope. */
export async function listenRaw(
  scope: Scope,
  port: number,
  take: (socket: net.Socket) => void,
): Promise<void> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket.on('close', () => sockets.delete(socket)).on('error', () => {}));
    take(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen({ port, host: '127.0.0.1' }, resolve);
  });
  scope.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
}
