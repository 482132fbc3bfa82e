// HTTP/2 while something ends or stalls: upstreams that say goodbye, changes, drains, and ends that do not read.

import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import type { ProxyConfig } from '../../src/index.js';
import { freePorts } from '../ports.js';
import type { Scope } from '../process.js';
import {
  END_HEADERS,
  END_STREAM,
  frame,
  get,
  headers,
  listenRaw,
  Peer,
  settings,
  TYPE,
  word,
} from './frames.js';
import { simple, startProxy, startProxyProcess } from './rig.js';
import { filler, session, startEither, TwoClient, type Version } from './two.js';

const MB = 1024 * 1024;
/** An answer without a body: status 200 of HPACK's static table. */
const DONE = { flags: END_STREAM | END_HEADERS, payload: Buffer.from([0x88]) };

/** A refused stream was not processed and may be sent again (RFC 9113 section 8.7). */
const REFUSED = 'Stream closed with error code NGHTTP2_REFUSED_STREAM';

/** What a load came to. */
interface Load {
  answered: number;
  readonly failures: string[];
  over: boolean;
}

/** A config in front of services, all of one version. */
function config(port: number, to: Version, ...upstreams: number[]): ProxyConfig {
  const endpoints = upstreams.map((upstream) => `127.0.0.1:${upstream}`);
  const protocol = to === 2 ? 'http2' : 'http';
  return simple(port, [], { workers: 2, services: { api: { endpoints, protocol } } });
}

/** Four clients of 8 streams each that go on until told; `untilRefused`: or until nobody listens any more. */
function startLoad(scope: Scope, port: number, untilRefused = false) {
  const load: Load = { answered: 0, failures: [], over: false };
  const connection = async (): Promise<void> => {
    while (!load.over) {
      const found = await session(scope, port).catch((cause: Error) => {
        if (!untilRefused) load.failures.push(`connect: ${cause.message}`);
      });
      if (found === undefined) return;
      const client = new TwoClient(found);
      const stream = async (): Promise<void> => {
        while (!load.over && !found.closed && !found.destroyed) {
          const told = await client.ask({ path: '/slow' }).catch((cause: Error) => cause.message);
          if (typeof told === 'object' && told.status === 200 && told.body.length === 2) load.answered += 1;
          else if (!(untilRefused && told === REFUSED))
            load.failures.push(typeof told === 'string' ? told : String(told.status));
        }
      };
      await Promise.all(Array.from({ length: 8 }, stream));
      found.destroy();
    }
  };
  const ended = Promise.all(Array.from({ length: 4 }, connection));
  const more = async (count: number): Promise<void> => {
    const goal = load.answered + count;
    while (load.answered < goal && load.failures.length === 0) await pause(5);
  };
  return { load, ended, more };
}

t.test('GOAWAY by the upstream under load: no request is lost', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  let connections = 0;
  let ignored = 0;
  await listenRaw(t, upstream, (socket) => {
    connections += 1;
    const peer = new Peer(socket, true);
    const begun: number[] = [];
    let last = 0;
    void peer.send(settings());
    socket.on('data', () => {
      const heads = peer.frames.splice(0).filter(({ type }) => type === TYPE.HEADERS);
      for (const { stream } of heads) {
        begun.push(stream);
        if (last !== 0 && stream > last) ignored += 1;
        else setTimeout(() => void peer.send(frame(TYPE.HEADERS, { stream, ...DONE })), 2);
        if (begun.length !== 25) continue;
        // The five begun last are not served.
        last = begun[19] ?? 0;
        void peer.send(frame(TYPE.GOAWAY, { payload: Buffer.concat([word(last), word(0)]) }));
        setTimeout(() => socket.end(), 50);
      }
    });
  });
  await startProxy(t, config(port, 2, upstream));
  const client = new TwoClient(await session(t, port));
  const statuses: number[] = [];
  const one = async (): Promise<void> => {
    for (let count = 0; count < 20; count += 1) statuses.push((await client.ask({ path: '/' })).status);
  };
  await Promise.all(Array.from({ length: 20 }, one));
  t.same(
    statuses.filter((status) => status !== 200),
    [],
  );
  t.equal(statuses.length, 400);
  t.ok(connections > 10, `${connections} connections`);
  t.comment(`${ignored} streams above the last`);
});

for (const to of [1, 2] as const) {
  t.test(`changes under HTTP/2 load to HTTP/${to}`, async (t) => {
    const [port = 0, a = 0, b = 0] = await freePorts(3);
    const seen = await Promise.all([startEither(t, to, a), startEither(t, to, b)]);
    const proxy = await startProxy(t, config(port, to, a));
    const { load, ended, more } = startLoad(t, port);
    for (let round = 0; round < 6; round += 1) {
      await more(60);
      await proxy.apply(config(port, to, round % 2 === 0 ? b : a));
    }
    await more(60);
    load.over = true;
    await ended;
    t.same(load.failures, []);
    for (const { begun } of seen) t.ok(begun > 50, `${begun} requests`);
  });

  t.test(`a drain under HTTP/2 load to HTTP/${to}`, async (t) => {
    const [port = 0, upstream = 0] = await freePorts(2);
    const seen = await startEither(t, to, upstream);
    const proxy = await startProxyProcess(t, config(port, to, upstream));
    const { load, ended, more } = startLoad(t, port, true);
    await more(100);
    const began = Date.now();
    proxy.child.kill('SIGTERM');
    await ended;
    const { status } = await proxy.ended;
    t.same(load.failures, []);
    t.equal(status, 0);
    t.equal(seen.begun, load.answered, 'whatever reached the upstream was answered');
    t.ok(Date.now() - began < 5000, `${Date.now() - began} ms`);
  });
}

/** An upstream that answers with 48 MB as fast as they are taken; ends with the scope. */
async function startFountain(scope: Scope, port: number): Promise<{ sent: number; readonly whole: number }> {
  const seen = { sent: 0, whole: 48 * MB };
  const part = filler(64 * 1024);
  await listenRaw(scope, port, (socket) => {
    const pour = (): void => {
      while (seen.sent < seen.whole && !socket.destroyed) {
        seen.sent += part.length;
        if (!socket.write(part)) return;
      }
    };
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${seen.whole}\r\n\r\n`);
      pour();
    });
    socket.on('drain', pour);
  });
  return seen;
}

/** Waits until a count has not grown for 300 ms. */
async function settled(count: () => number): Promise<number> {
  for (let last = -1; ; ) {
    const now = count();
    if (now === last) return now;
    last = now;
    await pause(300);
  }
}

t.test('an answer of ours that a client does not take is kept for as long as an idle client', async (t) => {
  const [port = 0] = await freePorts(1);
  const listeners = { web: { address: `127.0.0.1:${port}`, limits: { idleTimeout: '300ms' } } };
  await startProxy(t, simple(port, ['127.0.0.1:1'], { listeners, routes: [] }));
  const peer = await Peer.connect(t, port, settings([4, 0]));
  await peer.send(headers(1, get()));
  t.match(await peer.outcome(1), { statuses: [404], body: '', how: 2 }, 'no window, no body: cut');
  t.equal(await peer.goaway(), 0, 'and then the connection ends in good order');
});

t.test('a client that does not read stops its upstream', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  const fountain = await startFountain(t, upstream);
  const proxy = await startProxyProcess(t, config(port, 1, upstream));
  const before = proxy.memory();
  const peer = await Peer.connect(t, port, settings([1, 0], [4, 200_000]));
  await peer.send(headers(1, get()));
  const received = (): number =>
    peer.frames
      .filter(({ type }) => type === TYPE.DATA)
      .reduce((sum, { payload }) => sum + payload.length, 0);
  const held = await settled(() => fountain.sent);
  t.equal(received(), 65_535, 'the connection window is what came');
  t.ok(held < 24 * MB, `${held} bytes left the upstream`);
  t.ok(proxy.memory() - before < 4 * MB, `${proxy.memory() - before} bytes of memory`);
  await peer.send(
    frame(TYPE.WINDOW_UPDATE, { payload: word(2 ** 31 - 1 - 65_535) }),
    frame(TYPE.WINDOW_UPDATE, { stream: 1, payload: word(2 ** 31 - 1 - 200_000) }),
  );
  const ended = (): true | undefined =>
    ((peer.frames.at(-1)?.flags ?? 0) & END_STREAM) === 0 ? undefined : true;
  await peer.until(ended, 'the end of the body');
  t.equal(received(), fountain.whole, 'the rest comes once there is room');
});

t.test('an upstream that does not read stops its client', async (t) => {
  for (const to of [1, 2] as const) {
    const [port = 0, upstream = 0] = await freePorts(2);
    await listenRaw(t, upstream, (socket) => {
      if (to === 2) void new Peer(socket, true).send(settings());
      else socket.once('data', () => socket.pause());
    });
    const proxy = await startProxyProcess(t, config(port, to, upstream));
    const before = proxy.memory();
    const connection = await session(t, port);
    const stream = connection.request({ ':path': '/', ':method': 'POST' }, { endStream: false });
    stream.on('error', () => {});
    let taken = 0;
    const part = filler(64 * 1024);
    const pour = (): void => {
      if (taken < 48 * MB) stream.write(part, pour);
      taken += part.length;
    };
    pour();
    const held = await settled(() => taken);
    t.ok(held < 24 * MB, `HTTP/${to}: ${held} bytes left the client`);
    t.ok(proxy.memory() - before < 4 * MB, `HTTP/${to}: ${proxy.memory() - before} bytes of memory`);
    stream.destroy();
  }
});

t.test('an HTTP/1 client that does not read stops an HTTP/2 upstream', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  await startEither(t, 2, upstream);
  const proxy = await startProxyProcess(t, config(port, 2, upstream));
  const before = proxy.memory();
  const socket = net.connect({ port, host: '127.0.0.1' });
  t.teardown(() => void socket.destroy());
  await once(socket, 'connect');
  socket.pause().write(`GET /echo HTTP/1.1\r\nHost: a\r\nx-size: ${48 * MB}\r\n\r\n`);
  await pause(600);
  t.ok(proxy.memory() - before < 4 * MB, `${proxy.memory() - before} bytes of memory`);
  let came = 0;
  socket.on('data', (part) => {
    came += part.length;
  });
  socket.resume();
  while (came < 48 * MB) await once(socket, 'data');
  t.ok(came < 48 * MB + 1000, 'and gets all of it in the end');
});

t.test('resets by the upstream', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  let code = 0;
  let begun = 0;
  await listenRaw(t, upstream, (socket) => {
    const peer = new Peer(socket, true);
    void peer.send(settings());
    socket.on('data', () => {
      for (const { stream } of peer.frames.splice(0).filter(({ type }) => type === TYPE.HEADERS)) {
        begun += 1;
        if (begun % 2 === 1) void peer.send(frame(TYPE.RST_STREAM, { stream, payload: word(code) }));
        else void peer.send(frame(TYPE.HEADERS, { stream, ...DONE }));
      }
    });
  });
  await startProxy(t, config(port, 2, upstream));
  const client = new TwoClient(await session(t, port));
  // A refused stream was not seen by anybody and goes to the upstream again, whatever the method; others only if that is
  // safe.
  for (const [sent, method, status] of [
    [7, 'GET', 200],
    [7, 'POST', 200],
    [2, 'GET', 200],
    [2, 'POST', 502],
    [8, 'POST', 502],
  ] as const) {
    begun = 0;
    code = sent;
    const told = await client.ask({ path: '/', method, ...(method === 'POST' && { body: filler(3) }) });
    t.equal(told.status, status, `${method}, reset with ${sent}`);
  }
});
