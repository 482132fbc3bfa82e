// HTTP/2 connections that make work or hold memory for nothing: they are cut, the upstream sees no more of them than
// their streams, memory stays, and a healthy client does not notice.

import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { freePorts } from '../ports.js';
import {
  data,
  END_HEADERS,
  END_STREAM,
  frame,
  get,
  headers,
  type Line,
  lines,
  Peer,
  reset,
  settings,
  TYPE,
  word,
} from './frames.js';
import { type ProxyProcess, simple, startProxyProcess } from './rig.js';
import { type Seen, session, startEither, TwoClient } from './two.js';

t.jobs = 2;

const MB = 1024 * 1024;
/** ENHANCE_YOUR_CALM. */
const CALM = 11;
/** What a listener advertises. */
const STREAMS = 100;
/** Cut by so many resets. */
const RESETS = 200;

/** One attack, on one connection. */
interface Flood {
  readonly name: string;
  /** SETTINGS to begin with. */
  readonly first?: Buffer;
  /** Does not answer SETTINGS and PING, and reads nothing. */
  readonly deaf?: boolean;
  /** The bytes of round `index`, from 0. */
  readonly round: (index: number) => Buffer;
  readonly rounds: number;
  /** Goes on in this many pieces, so that what is told in between is seen. */
  readonly batch?: number;
  /** Whether it is cut, by which stream at the latest (counted from 1); otherwise it is borne. */
  readonly cut?: { readonly by: number };
}

/** Stream of round `index`. */
const id = (index: number): number => 2 * index + 1;
const empty = Buffer.alloc(0);
const open = (index: number): Buffer => headers(id(index), get('/never', 'POST'), false);

/** A stream that is opened, and then made to be reset by the proxy (CVE-2025-8671). */
function madeYouReset(name: string, fault: (stream: number) => Buffer, begin = open): Flood {
  return {
    name: `MadeYouReset: ${name}`,
    round: (index) => Buffer.concat([begin(index), fault(id(index))]),
    rounds: 1000,
    batch: 10,
    cut: { by: RESETS },
  };
}

/** Rounds of one kind of frame. */
function flood(name: string, rounds: number, round: (index: number) => Buffer): Flood {
  return { name, rounds, round, batch: 100, cut: { by: 1 } };
}

const resets: Flood[] = [
  {
    name: 'rapid reset',
    round: (index) => Buffer.concat([headers(id(index), get('/never')), reset(id(index))]),
    rounds: 1000,
    batch: 10,
    cut: { by: RESETS },
  },
  {
    name: 'rapid reset in one write',
    round: (index) => Buffer.concat([headers(id(index), get('/slow')), reset(id(index))]),
    rounds: 2000,
    batch: 2000,
    cut: { by: RESETS },
  },
  {
    name: 'resets of requests under way',
    round: (index) =>
      Buffer.concat([headers(id(index), get('/never')), index < 50 ? empty : reset(id(index - 50))]),
    rounds: 1000,
    batch: 10,
    cut: { by: RESETS },
  },
  madeYouReset('WINDOW_UPDATE of 0', (stream) => frame(TYPE.WINDOW_UPDATE, { stream, payload: word(0) })),
  madeYouReset('WINDOW_UPDATE beyond 2^31 - 1', (stream) =>
    frame(TYPE.WINDOW_UPDATE, { stream, payload: word(2 ** 31 - 1) }),
  ),
  madeYouReset(
    'HEADERS on a half-closed stream',
    (stream) => headers(stream, get('/never')),
    (index) => headers(id(index), get('/never')),
  ),
  madeYouReset(
    'DATA on a half-closed stream',
    (stream) => data(stream, 'x'),
    (index) => headers(id(index), get('/never')),
  ),
  madeYouReset('PRIORITY of a wrong size', (stream) =>
    frame(TYPE.PRIORITY, { stream, payload: Buffer.alloc(4) }),
  ),
  madeYouReset('PRIORITY on itself', (stream) =>
    frame(TYPE.PRIORITY, { stream, payload: Buffer.concat([word(stream), Buffer.from([1])]) }),
  ),
  madeYouReset(
    'more DATA than announced',
    (stream) => data(stream, 'xyz'),
    (index) => headers(id(index), [...get('/never', 'POST'), ['content-length', '1']], false),
  ),
];

const fragment = (index: number): Buffer =>
  index === 0
    ? frame(TYPE.HEADERS, { flags: END_STREAM, stream: 1, payload: lines(get()) })
    : frame(TYPE.CONTINUATION, { stream: 1, payload: lines([['x-a', 'v'.repeat(1000)]]) });

const frames: Flood[] = [
  {
    name: 'CONTINUATION without end',
    round: fragment,
    rounds: 2000,
    batch: 10,
    cut: { by: 200 },
  },
  flood('empty CONTINUATION', 2000, (index) =>
    index === 0 ? fragment(0) : frame(TYPE.CONTINUATION, { stream: 1 }),
  ),
  flood('PING', 20_000, () => frame(TYPE.PING, { payload: Buffer.alloc(8) })),
  flood('SETTINGS', 5000, (index) => settings([4, 65_535 + (index % 2)])),
  flood('empty SETTINGS', 5000, () => settings()),
  flood('empty DATA', 5000, (index) => (index === 0 ? open(0) : data(1, empty, false))),
  flood('padding and nothing else', 5000, (index) =>
    index === 0 ? open(0) : frame(TYPE.DATA, { flags: 8, stream: 1, payload: Buffer.from([3, 0, 0, 0]) }),
  ),
  flood('PRIORITY', 20_000, (index) =>
    frame(TYPE.PRIORITY, { stream: id(index), payload: Buffer.from([0, 0, 0, 0, 1]) }),
  ),
  flood('WINDOW_UPDATE of the connection', 40_000, () => frame(TYPE.WINDOW_UPDATE, { payload: word(1) })),
  flood('WINDOW_UPDATE of a stream', 40_000, (index) =>
    index === 0 ? open(0) : frame(TYPE.WINDOW_UPDATE, { stream: 1, payload: word(1) }),
  ),
  flood('unknown frames', 20_000, () => frame(99, { payload: Buffer.alloc(4) })),
  flood('frames on a stream that is over', 40_000, (index) =>
    index === 0 ? Buffer.concat([open(0), reset(1)]) : reset(1),
  ),
  {
    ...flood('PING that reads no answers', 20_000, () => frame(TYPE.PING, { payload: Buffer.alloc(8) })),
    deaf: true,
  },
];

const big: Line = ['x-bomb', 'v'.repeat(4000)];

/** Blocks that say one entry of the table again and again. */
function bomb(index: number): Buffer {
  const entry = lines([big], true);
  const again = Buffer.alloc(12_000, 0x80 | 62);
  const payload = Buffer.concat([lines(get()), index === 0 ? entry : empty, again]);
  return frame(TYPE.HEADERS, { flags: END_HEADERS | END_STREAM, stream: id(index), payload });
}

const bounded: Flood[] = [
  { name: 'HPACK bomb', round: bomb, rounds: 100, batch: 5 },
  {
    name: 'zero windows',
    first: settings([1, 0], [4, 0]),
    round: (index) => headers(id(index), [...get('/echo'), ['x-size', '1000000']]),
    rounds: STREAMS,
  },
  {
    name: 'a slow reader',
    first: settings([1, 0], [4, 2 ** 31 - 1]),
    deaf: true,
    round: (index) =>
      Buffer.concat([
        index === 0 ? frame(TYPE.WINDOW_UPDATE, { payload: word(2 ** 31 - 1 - 65_535) }) : empty,
        headers(id(index), [...get('/echo'), ['x-size', '1000000']]),
      ]),
    rounds: STREAMS,
  },
  {
    name: 'streams beyond the limit',
    round: (index) => headers(id(index), get('/never')),
    rounds: 1000,
    batch: 10,
    cut: { by: STREAMS + RESETS },
  },
  {
    name: 'bodies that never end',
    round: (index) => Buffer.concat([open(index), data(id(index), 'v'.repeat(10_000), false)]),
    rounds: STREAMS,
  },
];

/** Five requests of a healthy client; what went wrong. */
async function healthy(client: TwoClient): Promise<string[]> {
  const wrong: string[] = [];
  for (let count = 0; count < 5; count += 1) {
    const began = performance.now();
    const told = await client.ask({ path: '/status/200' }).catch((cause: Error) => cause);
    if (told instanceof Error) wrong.push(told.message);
    else if (told.status !== 200) wrong.push(`status ${told.status}`);
    const took = performance.now() - began;
    if (took > 2000) wrong.push(`${took} ms`);
  }
  return wrong;
}

/** Lets a flood loose; the rounds that were sent before it was cut. */
async function attack(peer: Peer, { round, rounds, batch = rounds, deaf = false }: Flood): Promise<number> {
  peer.polite = !deaf;
  if (deaf) peer.socket.pause();
  let sent = 0;
  while (sent < rounds && !peer.ended && !peer.frames.some(({ type }) => type === TYPE.GOAWAY)) {
    const parts: Buffer[] = [];
    for (let count = 0; count < batch && sent < rounds; count += 1, sent += 1) parts.push(round(sent));
    await Promise.race([peer.send(...parts), pause(1000)]);
    await pause(1);
  }
  return sent;
}

/** Waits, up to 10 s, until the processor was needed for less than 5 % of a second. */
async function idles(proxy: ProxyProcess): Promise<number> {
  let used = 0;
  for (let tried = 0; tried < 10; tried += 1) {
    const before = proxy.processor();
    await pause(1000);
    used = proxy.processor() - before;
    if (used < 50) break;
  }
  return used;
}

async function judge(t: Test, one: Flood, { port, seen, proxy, client }: Rig): Promise<void> {
  while (seen.open > 0) await pause(5);
  seen.most = 0;
  const peer = await Peer.connect(t, port, one.first ?? settings([1, 0]));
  // What is sent in answer to these must not come between.
  await peer.until(() => peer.frames.length >= 2 || undefined, 'SETTINGS and their acknowledgement');
  const [, wrong] = await Promise.all([attack(peer, one), healthy(client)]);
  t.same(wrong, [], `${one.name}: a healthy client is served`);
  if (one.cut === undefined) {
    await pause(300);
    t.equal(
      peer.frames.find(({ type }) => type === TYPE.GOAWAY),
      undefined,
      `${one.name}: borne`,
    );
  } else {
    if (one.deaf) peer.socket.resume();
    await peer.closed(5000);
    const goaway = peer.frames.findLast(({ type }) => type === TYPE.GOAWAY);
    t.equal(goaway?.payload.readUInt32BE(4), CALM, `${one.name}: cut`);
    const last = ((goaway?.payload.readUInt32BE(0) ?? 0) + 1) / 2;
    t.ok(last <= one.cut.by, `${one.name}: after ${last} streams`);
  }
  const grown = proxy.memory() - proxy.rest;
  t.ok(grown <= 16 * MB, `${one.name}: ${grown} bytes of memory`);
  // One of them is the healthy client's.
  t.ok(seen.most <= STREAMS + 1, `${one.name}: ${seen.most} requests at a time upstream`);
  peer.socket.destroy();
}

interface Rig {
  readonly port: number;
  readonly seen: Seen;
  readonly proxy: ProxyProcess & { readonly rest: number };
  readonly client: TwoClient;
}

async function rig(t: Test, to: 1 | 2): Promise<Rig> {
  const [port = 0, upstream = 0] = await freePorts(2);
  const seen = await startEither(t, to, upstream);
  const api = { endpoints: [`127.0.0.1:${upstream}`] };
  const protocol = to === 2 ? 'http2' : 'http';
  const proxy = await startProxyProcess(t, simple(port, [], { services: { api: { ...api, protocol } } }));
  const client = new TwoClient(await session(t, port));
  for (let count = 0; count < 50; count += 1) await client.ask({ path: '/status/200' });
  return { port, seen, client, proxy: { ...proxy, rest: proxy.memory() } };
}

for (const [what, floods, to] of [
  ['resets, to HTTP/1', resets, 1],
  ['resets, to HTTP/2', resets, 2],
  ['frames', frames, 1],
  // What one leaves behind must not be counted with the next, nor hide it.
  ...[1, 2].flatMap((to) => bounded.map((one) => [`${one.name}, to HTTP/${to}`, [one], to])),
] as [string, Flood[], 1 | 2][]) {
  t.test(what, async (t) => {
    const found = await rig(t, to);
    for (const one of floods) await judge(t, one, found);
    t.ok((await idles(found.proxy)) < 50, 'then it idles');
  });
}
