// What a proxy does around an exchange: time, limits, half-closed and upgraded connections, upstreams that fail.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import type { TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import type { ProxyConfig } from '../../src/index.js';
import { freePort, freePorts } from '../ports.js';
import { start, temporaryFolder } from '../process.js';
import { BARE, certificates, simple, startProxy } from './rig.js';
import {
  type Got,
  OK,
  plainAnswer,
  Recorder,
  type RecorderOptions,
  type UpstreamConn,
  valuesOf,
  Wire,
} from './wire.js';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

function post(body: string, ...fields: string[]): string {
  return ['POST / HTTP/1.1', 'Host: a', `Content-Length: ${body.length}`, ...fields, '', body].join('\r\n');
}

/** A proxy in front of one recording upstream. */
interface Rig {
  readonly port: number;
  readonly recorder: Recorder;
  connect(): Promise<Wire>;
}

type Change = (config: ProxyConfig) => ProxyConfig;

async function rig(
  t: Test,
  change: Change = (config) => config,
  options: Partial<RecorderOptions> = {},
): Promise<Rig> {
  const [port = 0, upstream = 0] = await freePorts(2);
  const recorder = await Recorder.start(t, { listen: upstream, ...options });
  await startProxy(t, change(simple(port, [`127.0.0.1:${upstream}`])));
  return { port, recorder, connect: () => Wire.connect(t, { port, host: '127.0.0.1' }) };
}

type Listener = NonNullable<ProxyConfig['listeners']>[string];

/** Changes the listener. */
function listener(more: Partial<Listener>): Change {
  return (config) => ({
    ...config,
    listeners: Object.fromEntries(
      Object.entries(config.listeners).map(([name, found]) => [name, { ...found, ...more }]),
    ),
  });
}

/** Changes the only rule. */
function rule(more: object): Change {
  return (config) => ({
    ...config,
    routes: [{ name: 'all', rules: [{ backends: [{ service: 'api' }], ...more }] }],
  });
}

/** Changes the service. */
function service(more: object): Change {
  return (config) => ({ ...config, services: { api: { ...config.services?.api, endpoints: [], ...more } } });
}

function reason(answer: Awaited<ReturnType<Wire['final']>>): string {
  return `${answer?.status} ${answer?.all('x-tulle-reason').join()}`;
}

// Most of the time is spent waiting.
t.jobs = 8;

t.test('clients that are slow, idle or greedy', { jobs: 16 }, async (t) => {
  t.test('half a head is cut after the header time, however it drips', async (t) => {
    const { connect } = await rig(t, listener({ limits: { headerTimeout: '300ms' } }));
    for (const drip of [false, true]) {
      const wire = await connect();
      const began = Date.now();
      await wire.send('GET / HTTP/1.1\r\nHost: a\r\n');
      const timer = setInterval(() => drip && void wire.send('X-A: b\r\n'), 50);
      const answer = await wire.answer();
      clearInterval(timer);
      t.equal(reason(answer), '408 header_timeout');
      t.same(answer?.all('connection'), ['close']);
      const took = Date.now() - began;
      t.ok(took >= 250 && took < 3_000, `${took} ms`);
      await wire.closed();
    }
  });

  t.test('a connection without a request is closed without a word', async (t) => {
    const { connect } = await rig(t, listener({ limits: { idleTimeout: '300ms' } }));
    const fresh = await connect();
    const used = await connect();
    await used.send(GET);
    t.equal((await used.final())?.status, 200);
    const began = Date.now();
    await Promise.all([fresh.closed(), used.closed()]);
    t.ok(Date.now() - began < 3_000);
    t.equal(fresh.text + used.text, '');
  });

  t.test('a body that trickles is cut, and the upstream sees that it was', async (t) => {
    const { connect, recorder } = await rig(t, listener({ limits: { bodyBytesPerSecond: 1000 } }));
    const wire = await connect();
    await wire.send(post('x'.repeat(1000)).slice(0, -990));
    const timer = setInterval(() => void wire.send('x'), 500);
    const answer = await wire.answer('POST');
    clearInterval(timer);
    t.equal(reason(answer), '408 body_too_slow');
    await wire.closed();
    const got = await recorder.until(() => recorder.requests[0]);
    t.equal(got.whole, false);
  });

  t.test('a body above the limit', async (t) => {
    const { connect, recorder } = await rig(t, listener({ limits: { bodyBytes: 10 } }));
    const announced = await connect();
    await announced.send(post('x'.repeat(11)));
    t.equal(reason(await announced.final()), '413 body_too_large');
    await announced.closed();
    t.same(recorder.flush(), []);
    const grown = await connect();
    await grown.send(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
      '6\r\nxxxxxx\r\n',
      '6\r\nxxxxxx\r\n',
    );
    t.equal(reason(await grown.final()), '413 body_too_large');
    await grown.closed();
    const [got] = await recorder.until(() => (recorder.requests.length > 0 ? recorder.flush() : undefined));
    t.match(got, { whole: false, line: 'POST / HTTP/1.1' });
    const fits = await connect();
    await fits.send(post('x'.repeat(10)));
    t.equal((await fits.final())?.status, 200);
  });

  t.test('a chunked body above the limit in one piece reaches nobody whole', async (t) => {
    const { connect, recorder } = await rig(t, listener({ limits: { bodyBytes: 10 } }));
    const wire = await connect();
    await wire.send(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nxxxxxxxxxxx\r\n0\r\n\r\n',
    );
    t.equal(reason(await wire.final()), '413 body_too_large');
    const after = await connect();
    await after.send(GET);
    await after.final();
    t.same(
      recorder.flush().map(({ line, whole }) => [line, whole]),
      [['GET / HTTP/1.1', true]],
    );
  });

  t.test(
    'connections beyond the limit are closed at once; a place that is free again is given',
    async (t) => {
      const { connect } = await rig(t, listener({ limits: { connections: 2 } }));
      const two = [await connect(), await connect()];
      for (const wire of two) {
        await wire.send(GET);
        t.equal((await wire.final())?.status, 200);
      }
      const third = await connect();
      await third.closed();
      t.equal(third.text, '');
      two[0]?.socket.destroy();
      for (;;) {
        const next = await connect();
        await next.send(GET);
        if ((await next.final())?.status === 200) break;
      }
    },
  );

  t.test('limits of heads are those of the listener', async (t) => {
    const { connect } = await rig(t, listener({ limits: { headerBytes: 300, headerFields: 5 } }));
    for (const [bytes, status] of [
      [`GET /${'a'.repeat(400)} HTTP/1.1\r\nHost: a`, 414],
      [`GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(400)}`, 431],
      [`GET / HTTP/1.1\r\nHost: a\r\n${'X-A: b\r\n'.repeat(5)}\r\n`, 431],
      [`GET / HTTP/1.1\r\nHost: a\r\n${'X-A: b\r\n'.repeat(4)}\r\n`, 200],
    ] as const) {
      const wire = await connect();
      await wire.send(bytes);
      t.equal((await wire.final())?.status, status);
    }
  });

  t.test('a client that only half-closes gets its answer', async (t) => {
    const { connect } = await rig(t);
    const wire = await connect();
    await wire.send(GET);
    wire.finish();
    t.match(await wire.final(), { status: 200, body: 'ok', whole: true });
    await wire.closed();
  });

  t.test('a client that half-closes within its body gets nothing, nor does the upstream', async (t) => {
    const { connect, recorder } = await rig(t);
    const wire = await connect();
    await wire.send(post('hello').slice(0, -2));
    wire.finish();
    await wire.closed();
    const got = await recorder.until(() => recorder.requests[0]);
    t.equal(got.whole, false);
  });
});

t.test('Expect: 100-continue', async (t) => {
  const { connect } = await rig(t, undefined, {
    onHead: ({ line, fields }, { socket }) => {
      if (!fields.includes('Expect: 100-continue')) return;
      if (line.includes('/no')) socket.write('HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n');
      else socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    },
    answer: (got) => `HTTP/1.1 200 OK\r\nContent-Length: ${got.body.length}\r\n\r\n${got.body}`,
  });
  const head = (target: string): string =>
    `POST ${target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`;
  const wire = await connect();
  await wire.send(head('/'));
  t.equal((await wire.answer())?.status, 100);
  await wire.send('hello');
  t.match(await wire.answer(), { status: 200, body: 'hello' });

  const refused = await connect();
  await refused.send(head('/no'));
  t.match(await refused.answer(), { status: 413, whole: true });
  await refused.closed();

  const old = await connect();
  await old.send(post('hello').replace('HTTP/1.1', 'HTTP/1.0'));
  t.match(await old.answer(), { status: 200, body: 'hello' });
});

const UPGRADE = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n';

/** An upstream that switches and then speaks raw. */
async function switching(
  t: Test,
  change?: Change,
): Promise<{ port: number; raw: () => Promise<net.Socket> }> {
  const [port = 0, upstream = 0] = await freePorts(2);
  const waiting: net.Socket[] = [];
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.setNoDelay(true).setEncoding('latin1');
    let head = '';
    const read = (part: string): void => {
      head += part;
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', read).pause();
      socket.write(/^upgrade: websocket/im.test(head) ? `${SWITCHED}early` : OK);
      waiting.push(socket);
      server.emit('switched');
    };
    socket.on('data', read).on('error', () => {});
  });
  server.listen(upstream, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of waiting) socket.destroy();
  });
  const config = simple(port, [`127.0.0.1:${upstream}`]);
  await startProxy(t, change?.(config) ?? config);
  const raw = async (): Promise<net.Socket> => {
    for (;;) {
      const socket = waiting.shift();
      if (socket !== undefined) return socket;
      await once(server, 'switched');
    }
  };
  return { port, raw };
}

t.test('an upgraded connection is a tunnel', async (t) => {
  const { port, raw } = await switching(t);
  for (const first of ['client', 'upstream'] as const) {
    const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
    await wire.send(UPGRADE);
    const answer = await wire.answer();
    t.match(answer, { status: 101 });
    t.same(answer?.all('upgrade'), ['websocket']);
    t.match(answer?.all('connection'), [/^upgrade$/i]);
    t.equal(await wire.bytes(5), 'early', 'what came behind the 101');
    const socket = await raw();
    const over = once(socket, 'close');
    await wire.send('\x00\xff to upstream');
    socket.resume();
    t.equal((await once(socket, 'data'))[0], '\x00\xff to upstream');
    socket.write(`${'x'.repeat(300_000)}.`, 'latin1');
    t.equal((await wire.bytes(300_001)).length, 300_001);
    if (first === 'client') {
      const ended = once(socket, 'end');
      wire.finish();
      await ended;
      socket.end('last words', 'latin1');
      t.equal(await wire.bytes(10), 'last words', 'after the client has ended its half');
    } else {
      socket.end();
      await wire.closed();
      const heard = once(socket, 'data');
      await wire.send('last words');
      t.equal((await heard)[0], 'last words', 'after the upstream has ended its half');
      wire.finish();
    }
    await over;
    await wire.closed();
  }
});

t.test('an upgrade that is not allowed is an ordinary request', async (t) => {
  const { port } = await switching(t, listener({ upgrade: false }));
  const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
  await wire.send(UPGRADE);
  const answer = await wire.answer();
  t.not(answer?.status, 101);
});

t.test('what is sent behind an upgrade waits for its answer', async (t) => {
  t.test('and is a request where the upstream does not switch', async (t) => {
    const { connect, recorder } = await rig(t);
    const wire = await connect();
    await wire.send(`${UPGRADE}GET /next HTTP/1.1\r\nHost: a\r\n\r\n`);
    for (let count = 0; count < 2; count += 1) t.match(await wire.final(), { status: 200, body: 'ok' });
    t.same(
      recorder.requests.map(({ line }) => line),
      ['GET /chat HTTP/1.1', 'GET /next HTTP/1.1'],
    );
  });

  t.test('and belongs to the tunnel where it does', async (t) => {
    const { port, raw } = await switching(t);
    const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
    const behind = 'GET /next HTTP/1.1\r\nHost: a\r\n\r\n';
    await wire.send(UPGRADE + behind);
    t.equal((await wire.answer())?.status, 101);
    const socket = await raw();
    const heard = once(socket, 'data');
    socket.resume();
    t.equal((await heard)[0], behind);
    t.equal(await wire.bytes(5), 'early');
  });

  t.test('and nothing of it goes ahead', async (t) => {
    const { connect, recorder } = await rig(t, undefined, { answer: () => undefined });
    const wire = await connect();
    await wire.send(`${UPGRADE}more bytes`);
    await recorder.until(() => recorder.requests[0]);
    const other = await connect();
    await other.send(GET);
    await recorder.until(() => recorder.requests[1]);
    for (const socket of recorder.sockets) socket.destroy();
    await recorder.until(() => (recorder.sockets.size === 0 ? true : undefined));
    t.same(recorder.garbage, []);
  });
});

t.test('a tunnel in which nobody speaks is closed', async (t) => {
  const { port, raw } = await switching(t, rule({ timeouts: { streamIdle: '1s' } }));
  const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
  await wire.send(UPGRADE);
  t.equal((await wire.answer())?.status, 101);
  const socket = await raw();
  const over = once(socket, 'close');
  socket.resume();
  const began = Date.now();
  // As long as somebody speaks it stays.
  while (Date.now() - began < 1_500) {
    const heard = once(socket, 'data');
    await wire.send('x');
    await heard;
  }
  const silent = Date.now();
  await wire.closed();
  t.ok(Date.now() - silent < 8_000);
  wire.finish();
  socket.end();
  await over;
});

t.test('CONNECT where it is configured is a tunnel', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  const echo = net.createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket));
  echo.listen(upstream, '127.0.0.1');
  await once(echo, 'listening');
  t.teardown(() => echo.close());
  await startProxy(t, listener({ connect: true })(simple(port, [`127.0.0.1:${upstream}`])));
  const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
  await wire.send('CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\nfirst');
  t.match(await wire.bytes('HTTP/1.1 200 OK\r\n\r\n'.length), /^HTTP\/1\.1 200 /);
  t.equal(await wire.bytes(5), 'first');
  await wire.send('second');
  t.equal(await wire.bytes(6), 'second');
  wire.finish();
  await wire.closed();
});

t.test('large bodies stream both ways, as fast as the slower side', async (t) => {
  const size = 4 << 20;
  const { connect, recorder } = await rig(t, undefined, {
    answer: ({ body }) =>
      `HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\nX-Got: ${body.length}\r\n\r\n${'y'.repeat(size)}`,
  });
  const wire = await connect();
  wire.socket.pause();
  await wire.send(post('x'.repeat(size)));
  await recorder.until(() => recorder.requests[0]);
  wire.socket.resume();
  const answer = await wire.final();
  t.same(answer?.all('x-got'), [String(size)]);
  t.equal(answer?.body.length, size);
  t.equal(answer?.whole, true);
});

t.test('a pooled connection that closes as a request comes', async (t) => {
  const seenOn = new Map<number, number>();
  const { connect, recorder } = await rig(t, undefined, {
    answer: (_got, { index, socket }) => {
      const seen = (seenOn.get(index) ?? 0) + 1;
      seenOn.set(index, seen);
      if (seen === 1) return OK;
      socket.resetAndDestroy();
      return undefined;
    },
  });
  const cases: [string, string, number, number][] = [
    ['GET is sent again', GET, 200, 2],
    ['PUT is sent again', post('hello').replace('POST', 'PUT'), 200, 2],
    ['POST is not', post('hello'), 502, 1],
    ['POST with an idempotency key is', post('hello', 'Idempotency-Key: k1'), 200, 2],
  ];
  for (const [name, bytes, status, times] of cases) {
    const warm = await connect();
    await warm.send(GET);
    await warm.final();
    const pooled = recorder.connections - 1;
    recorder.flush();
    await warm.send(bytes);
    t.equal((await warm.final())?.status, status, name);
    const got = recorder.flush().filter(({ whole }) => whole);
    t.equal(got.length, times, `${name}: ${times} times`);
    t.equal(got[0]?.connection, pooled, 'first on the pooled connection');
    warm.socket.destroy();
    // The next case begins with a connection of its own.
    for (const socket of recorder.sockets) socket.destroy();
    await recorder.until(() => (recorder.sockets.size === 0 ? true : undefined));
  }
});

t.test('an idle connection that the upstream closes is not used again', async (t) => {
  const { connect, recorder } = await rig(t);
  const wire = await connect();
  for (let round = 0; round < 20; round += 1) {
    await wire.send(post('hello'));
    t.equal((await wire.final())?.status, 200);
    const closed = [...recorder.sockets].map(async (socket) => {
      socket.end();
      await once(socket, 'close');
    });
    await Promise.all(closed);
  }
  t.equal(recorder.connections, 20);
  t.equal(recorder.requests.length, 20);
});

t.test('an endpoint that takes no connection', async (t) => {
  const [port = 0, dead = 0, live = 0] = await freePorts(3);
  const recorder = await Recorder.start(t, { listen: live });
  await startProxy(t, simple(port, [`127.0.0.1:${dead}`, `127.0.0.1:${live}`]));
  for (const bytes of [GET, post('hello')]) {
    for (let round = 0; round < 6; round += 1) {
      const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
      await wire.send(bytes);
      t.equal((await wire.final())?.status, 200, 'the other endpoint answers');
    }
  }
  t.equal(recorder.requests.length, 12);
  const alone = await freePort();
  await startProxy(t, simple(alone, [`127.0.0.1:${dead}`]));
  const wire = await Wire.connect(t, { port: alone, host: '127.0.0.1' });
  await wire.send(GET);
  t.equal(reason(await wire.final()), '503 connect_failure');
});

t.test('answers that do not come, or not on', async (t) => {
  t.test('no head in time', async (t) => {
    const { connect, recorder } = await rig(t, rule({ timeouts: { request: '200ms' } }), {
      answer: () => undefined,
    });
    const wire = await connect();
    const began = Date.now();
    await wire.send(GET);
    t.equal(reason(await wire.final()), '504 request_timeout');
    t.ok(Date.now() - began < 2_000);
    await recorder.until(() => (recorder.sockets.size === 0 ? true : undefined));
    t.equal(recorder.requests.length, 1, 'a request that timed out is not sent again');
  });

  t.test('the time of an answer begins when the request has ended', async (t) => {
    const { connect } = await rig(t, rule({ timeouts: { request: '300ms' } }));
    const wire = await connect();
    const body = 'x'.repeat(12);
    await wire.send(post(body).slice(0, -12));
    for (const byte of body) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      await wire.send(byte);
    }
    t.equal((await wire.final())?.status, 200, 'an upload of 600 ms');
  });

  t.test('a body that stands still', async (t) => {
    const half = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf';
    const { connect } = await rig(t, rule({ timeouts: { streamIdle: '200ms' } }), { answer: () => half });
    const wire = await connect();
    await wire.send(GET);
    t.match(await wire.final(), { status: 200, body: 'half', whole: false });
  });

  t.test('a client that goes away takes the upstream connection along', async (t) => {
    const { connect, recorder } = await rig(t, undefined, { answer: () => undefined });
    const wire = await connect();
    await wire.send(GET);
    await recorder.until(() => recorder.requests[0]);
    wire.socket.resetAndDestroy();
    await recorder.until(() => (recorder.sockets.size === 0 ? true : undefined));
  });
});

t.test('no endpoint, no room', async (t) => {
  t.test('a service without endpoints', async (t) => {
    const { connect } = await rig(t, service({ endpoints: [] }));
    const wire = await connect();
    await wire.send(GET);
    t.equal(reason(await wire.final()), '503 no_endpoint');
  });

  t.test('all connections busy', async (t) => {
    const { connect, recorder } = await rig(
      t,
      (config) =>
        service({ endpoints: config.services?.api?.endpoints, limits: { connections: 1, pending: 1 } })(
          config,
        ),
      { answer: () => undefined },
    );
    const [busy, waiting, beyond] = [await connect(), await connect(), await connect()];
    await busy.send(GET);
    const first = await recorder.until(() => recorder.requests[0]);
    await waiting.send(GET);
    const began = Date.now();
    // Which of the two came second is the kernel's choice: one waits, one is turned away.
    await beyond.send(GET);
    const reasons = await Promise.all([waiting, beyond].map(async (wire) => reason(await wire.final())));
    t.same(reasons.sort(), ['503 pending_full', '503 queue_timeout']);
    t.ok(Date.now() - began < 10_000);
    t.equal(first.connection, 0);
  });

  t.test('who waits is served when there is room', async (t) => {
    const held: UpstreamConn[] = [];
    const { connect, recorder } = await rig(
      t,
      (config) =>
        service({ endpoints: config.services?.api?.endpoints, limits: { connections: 1, pending: 8 } })(
          config,
        ),
      {
        answer: (_got, conn) => {
          held.push(conn);
          return undefined;
        },
      },
    );
    const wires = [await connect(), await connect(), await connect()];
    for (const wire of wires) await wire.send(GET);
    for (let served = 1; served <= 3; served += 1) {
      await recorder.until(() => (recorder.requests.length === served ? true : undefined));
      held.shift()?.socket.write(OK);
    }
    for (const wire of wires) t.equal((await wire.final())?.status, 200);
  });
});

t.test('a Unix socket', async (t) => {
  const port = await freePort();
  const file = path.join(temporaryFolder(t), 'app.sock');
  const recorder = await Recorder.start(t, { listen: file });
  await startProxy(t, simple(port, [`unix:${file}`]));
  const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
  for (let round = 0; round < 3; round += 1) {
    await wire.send(GET);
    t.equal((await wire.final())?.status, 200);
  }
  t.equal(recorder.connections, 1, 'the connection is kept');
});

t.test('TLS towards the upstream', async (t) => {
  const certs = await certificates(t);
  const file = (name: string): string => path.join(certs, name);
  const upstream = await freePort();
  const keys = { cert: readFileSync(file('edge.crt')), key: readFileSync(file('edge.key')) };
  const recorder = await Recorder.start(t, { listen: upstream, tls: keys });
  const ask = async (tls: object): Promise<string> => {
    const port = await freePort();
    await startProxy(t, service({ endpoints: [`127.0.0.1:${upstream}`], tls })(simple(port, [])));
    const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
    await wire.send(GET);
    const first = reason(await wire.final());
    await wire.send(GET);
    return `${first} ${(await wire.final())?.status}`;
  };
  const trustBundle = file('ca.crt');
  t.equal(await ask({ trustBundle }), '200  200', 'by address');
  t.equal(await ask({ trustBundle, serverName: 'api.example.test' }), '200  200', 'by name');
  t.equal(recorder.connections, 2, 'connections are kept');
  recorder.flush();
  t.equal(await ask({ trustBundle, serverName: 'other.test' }), '502 upstream_tls 502', 'another name');
  t.equal(await ask({}), '502 upstream_tls 502', 'a root that nobody trusts');
  t.same(recorder.requests, []);
});

t.test('what is said of the client', async (t) => {
  const [trust = 0, off = 0] = await freePorts(2);
  const { connect, recorder } = await rig(t, (config) => ({
    ...config,
    listeners: {
      web: { address: config.listeners.web?.address ?? '', headers: { via: 'edge' } },
      trust: { address: `127.0.0.1:${trust}`, headers: { forwarded: 'trust', via: 'edge' } },
      off: { address: `127.0.0.1:${off}`, headers: BARE },
    },
  }));
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const sent = [
    'X-Forwarded-For: 6.6.6.6',
    'X-Forwarded-Proto: https',
    'X-Request-Id: client-1',
    `traceparent: ${traceparent}`,
    'Via: 1.1 other',
  ];
  const ask = async (wire: Wire, fields: string[]): Promise<Got | undefined> => {
    recorder.flush();
    await wire.send(['GET / HTTP/1.1', 'Host: a:1', ...fields, '', ''].join('\r\n'));
    t.equal((await wire.final())?.status, 200);
    return recorder.flush()[0];
  };
  const names = [
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-forwarded-host',
    'x-request-id',
    'traceparent',
    'via',
  ];
  const table = (got: Got | undefined): string[] =>
    got === undefined ? [] : names.map((name) => valuesOf(got, name).join(' | '));

  const plain = table(await ask(await connect(), []));
  t.match(plain, [
    '127.0.0.1',
    'http',
    'a:1',
    /^[0-9a-f]{32}$/,
    /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/,
    '1.1 edge',
  ]);
  t.same(table(await ask(await connect(), sent)), [
    ...['127.0.0.1', 'http', 'a:1', 'client-1', traceparent, '1.1 other, 1.1 edge'],
  ]);
  const trusting = await Wire.connect(t, { port: trust, host: '127.0.0.1' });
  t.same(table(await ask(trusting, sent)), [
    ...['6.6.6.6, 127.0.0.1', 'https', 'a:1', 'client-1', traceparent, '1.1 other, 1.1 edge'],
  ]);
  const silent = await Wire.connect(t, { port: off, host: '127.0.0.1' });
  t.same(table(await ask(silent, [])), ['', '', '', '', '', '']);
  for (const bad of ['', 'a b', 'x'.repeat(300)]) {
    const got = table(await ask(await connect(), [`X-Request-Id: ${bad}`, 'traceparent: 00-zz-yy-01']));
    t.match(got[3], /^[0-9a-f]{32}$/, `a malformed id is replaced: ${bad.slice(0, 10)}`);
    t.match(got[4], /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/, 'and so is a malformed traceparent');
  }
});

t.test('answers without a body are answers to their end', async (t) => {
  const { connect } = await rig(t, undefined, {
    answer: (got) => {
      const status = got.line.split('/')[1]?.slice(0, 3) ?? '';
      if (status === '204' || status === '304') return `HTTP/1.1 ${status} X\r\nETag: "a"\r\n\r\n`;
      return plainAnswer(got);
    },
  });
  const wire = await connect();
  for (const [line, status] of [
    ['GET /204', 204],
    ['GET /304', 304],
    ['HEAD /200', 200],
    ['HEAD /304', 304],
    ['GET /200', 200],
  ] as const) {
    await wire.send(`${line} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const answer = await wire.final(line.split(' ')[0]);
    t.equal(answer?.status, status, line);
    t.same(answer?.all('content-length'), status === 200 ? ['2'] : [], line);
    t.same(answer?.all('transfer-encoding'), [], line);
  }
});

t.test('a policy on paths sees what is forwarded, however it is written', async (t) => {
  const { connect, recorder } = await rig(t, (config) => ({
    ...config,
    authorization: [
      {
        name: 'no-admin',
        listeners: ['web'],
        action: 'deny',
        rules: [{ paths: [{ prefix: '/admin' }] }, { methods: ['DELETE'] }],
      },
    ],
  }));
  const ask = async (target: string, method = 'GET'): Promise<string> => {
    const wire = await connect();
    await wire.send(`${method} ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const found = reason(await wire.final());
    wire.socket.destroy();
    return found;
  };
  for (const target of [
    ...[
      '/admin',
      '/admin/',
      '/admin/x',
      '/admin?x',
      '//admin',
      '/./admin',
      '/x/../admin',
      '/%61dmin',
      '/%2e/admin',
    ],
    ...['/x/%2e%2e/admin', '/x/.%2E//admin', 'http://a/admin', 'http://b//admin', '/%61%64%6d%69%6e/x'],
  ]) {
    t.equal(await ask(target), '403 denied', target);
  }
  t.equal(await ask('/x', 'DELETE'), '403 denied');
  for (const target of [
    '/x%2fadmin',
    '/x%2F..%2Fadmin',
    '/x;/admin',
    '/;/../admin',
    '/admin;x',
    '/x%3b',
    '/x%5cadmin',
    '/..;/admin',
  ]) {
    t.match(await ask(target), /^400 /, target);
  }
  t.same(recorder.requests, [], 'nothing of it reached the upstream');
  for (const target of ['/', '/administrator', '/x/admin', '/ADMIN', '/x?/admin', '/x%20admin']) {
    t.equal(await ask(target), '200 ', target);
    t.equal(recorder.flush()[0]?.line, `GET ${target} HTTP/1.1`);
  }
});

t.test('an answer that does not come is asked for elsewhere, if that does no harm', async (t) => {
  const [port = 0, bad = 0, good = 0] = await freePorts(3);
  const resetting = await Recorder.start(t, {
    listen: bad,
    answer: (_got, { socket }) => {
      socket.resetAndDestroy();
      return undefined;
    },
  });
  const recorder = await Recorder.start(t, { listen: good });
  await startProxy(t, simple(port, [`127.0.0.1:${bad}`, `127.0.0.1:${good}`]));
  const statuses = async (bytes: string): Promise<(number | undefined)[]> => {
    const found = [];
    for (let round = 0; round < 6; round += 1) {
      const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
      await wire.send(bytes);
      found.push((await wire.final())?.status);
    }
    return found.sort();
  };
  t.same(await statuses(GET), [200, 200, 200, 200, 200, 200]);
  t.same(await statuses(post('x').replace('POST', 'PUT')), [200, 200, 200, 200, 200, 200]);
  const [resets, answers] = [resetting.requests.length, recorder.requests.length];
  t.same(await statuses(post('x')), [200, 200, 200, 502, 502, 502], 'a POST goes to one of them only');
  t.equal(resetting.requests.length - resets, 3);
  t.equal(recorder.requests.length - answers, 3);
});

t.test('a body that nobody takes is never read as requests', async (t) => {
  const inner = 'GET /inner HTTP/1.1\r\nHost: a\r\n\r\n';
  const { connect, recorder } = await rig(t, (config) => ({
    ...config,
    routes: [
      {
        name: 'some',
        rules: [{ matches: [{ path: { prefix: '/known' } }], backends: [{ service: 'api' }] }],
      },
    ],
  }));
  const chunks = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`;
  for (const [name, framing, body] of [
    ['a length', `Content-Length: ${inner.length}`, inner],
    ['chunks', 'Transfer-Encoding: chunked', chunks],
  ] as const) {
    for (const pieces of [1, 2]) {
      const wire = await connect();
      const head = `POST /unknown HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`;
      await wire.send(...(pieces === 1 ? [head + body] : [head, body]));
      t.equal(reason(await wire.final()), '404 no_route', name);
      await wire.closed();
      t.equal(wire.text, '', `${name}: one answer`);
    }
  }
  const wire = await connect();
  await wire.send(
    'POST /unknown HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    GET.replace(' / ', ' /known '),
  );
  t.equal((await wire.final())?.status, 404);
  t.equal((await wire.final())?.status, 200, 'without a body the connection goes on');
  t.same(
    recorder.requests.map(({ line }) => line),
    ['GET /known HTTP/1.1'],
  );
});

t.test('an HTTP/1.0 client gets no chunks, and a broken connection for a broken answer', async (t) => {
  const whole = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n';
  const { connect, recorder, port } = await rig(t, undefined, { answer: () => whole });
  const ask = async (): Promise<Wire> => {
    const wire = await connect();
    await wire.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    return wire;
  };
  const answer = await (await ask()).final();
  t.match(answer, { status: 200, body: 'ok', whole: true });
  t.same(answer?.all('transfer-encoding'), []);
  t.same(answer?.all('connection'), ['close']);
  recorder.answer = (_got, { socket }) => {
    socket.end(whole.slice(0, -20), 'latin1');
    return undefined;
  };
  const args = ['-sS', '--http1.0', '--noproxy', '*', '--max-time', '10'];
  for (let round = 0; round < 3; round += 1) {
    const { status, stderr } = await start(t, ['curl', ...args, `http://127.0.0.1:${port}/`]).ended;
    t.equal(status, 56, 'a reset, since the end of the connection would end the body');
    t.match(stderr, /reset/);
  }
});

t.test('an answer that comes before the body has ended', async (t) => {
  const { connect, recorder } = await rig(t, undefined, {
    onHead: ({ line }, { socket }) => {
      if (!line.includes('/early')) return;
      socket.write('HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!');
      socket.end();
    },
  });
  for (const size of [100, 4 << 20]) {
    const wire = await connect();
    const body = 'x'.repeat(size);
    void wire.send(`POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`, body.slice(0, -1));
    t.match(await wire.final(), { status: 413, body: 'no!', whole: true }, `${size} bytes`);
    await wire.closed();
  }
  t.equal(recorder.flush().filter(({ whole }) => whole).length, 0);
});

t.test('many requests sent ahead, answers read late', async (t) => {
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: 2048\r\n\r\n${'y'.repeat(2048)}`;
  const { connect, recorder } = await rig(t, undefined, { answer: () => answer });
  const wire = await connect();
  wire.socket.pause();
  const count = 3_000;
  void wire.send(GET.repeat(count));
  await recorder.until(() => (recorder.requests.length > 100 ? true : undefined));
  wire.socket.resume();
  await recorder.until(() => (recorder.requests.length === count ? true : undefined));
  for (let read = 0; read < count; read += 1) {
    const found = await wire.final();
    if (found?.body.length !== 2048 || !found.whole) t.fail(`answer ${read}: ${found?.line}`);
  }
  t.equal(recorder.connections, 1);
});

t.test('TLS at the listener', async (t) => {
  const certs = await certificates(t);
  const file = (name: string): string => path.join(certs, name);
  const ca = readFileSync(file('ca.crt'));
  const upstream = await freePort();
  const keys = { cert: readFileSync(file('edge.crt')), key: readFileSync(file('edge.key')) };
  const size = 3 << 20;
  const recorder = await Recorder.start(t, {
    listen: upstream,
    tls: keys,
    answer: ({ line, body }) =>
      line.startsWith('HEAD')
        ? OK.slice(0, -2)
        : `HTTP/1.1 200 OK\r\nX-Got: ${body.length}\r\nTransfer-Encoding: chunked\r\n\r\n${size.toString(16)}\r\n${'y'.repeat(size)}\r\n0\r\n\r\n`,
  });
  const [port = 0, tight = 0] = await freePorts(2);
  const listener = {
    headers: BARE,
    tls: { certificates: [{ cert: file('edge.crt'), key: file('edge.key') }] },
  };
  await startProxy(t, {
    ...simple(port, []),
    listeners: {
      web: { ...listener, address: `127.0.0.1:${port}` },
      tight: {
        ...listener,
        address: `127.0.0.1:${tight}`,
        limits: { headerTimeout: '500ms', idleTimeout: '500ms' },
      },
    },
    services: { api: { endpoints: [`127.0.0.1:${upstream}`], tls: { trustBundle: file('ca.crt') } } },
  });
  const connect = (to: number): Promise<Wire> => Wire.connect(t, { port: to, host: '127.0.0.1', ca });

  for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
    const only = { port, host: '127.0.0.1', ca, minVersion: version, maxVersion: version };
    const fresh = await Wire.connect(t, only);
    let session: Buffer | undefined;
    fresh.socket.on('session', (ticket: Buffer) => {
      session = ticket;
    });
    session = version === 'TLSv1.2' ? (fresh.socket as TLSSocket).getSession() : undefined;
    await fresh.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
    t.equal((await fresh.final('HEAD'))?.status, 200);
    const again = await Wire.connect(t, { ...only, ...(session === undefined ? {} : { session }) });
    t.equal((again.socket as TLSSocket).isSessionReused(), true, `${version} is resumed`);
    for (const wire of [fresh, again]) wire.socket.destroy();
  }
  recorder.flush();

  const large = await connect(port);
  for (let round = 0; round < 2; round += 1) {
    await large.send(post('x'.repeat(size)));
    const answer = await large.final();
    t.same(answer?.all('x-got'), [String(size)], 'a large body, sealed twice');
    t.equal(answer?.body.length, size);
  }
  t.equal(recorder.connections, 1, 'the upstream connection is kept');

  const dripping = await connect(tight);
  await dripping.send(...'GET / HTTP/1.1\r\nHo');
  t.equal(reason(await dripping.final()), '408 header_timeout');
  const idle = await connect(tight);
  await idle.closed();
  t.equal(idle.text, '');
  for (const bytes of ['', '\x16\x03\x01']) {
    const silent = await Wire.connect(t, { port: tight, host: '127.0.0.1' });
    const began = Date.now();
    await silent.send(bytes);
    await silent.closed();
    t.ok(Date.now() - began < 5_000, 'a handshake that does not come is cut');
  }
  for (const bytes of [
    '\x16\x03\x01\xff\xff',
    '\x15\x03\x01\x00\x02\x02\x28',
    '\x17\x03\x03\x00\x01x',
    '\x80\x2e\x01\x03\x01',
  ]) {
    const odd = await Wire.connect(t, { port: tight, host: '127.0.0.1' });
    await odd.send(bytes.padEnd(400, '\0'));
    await odd.closed();
    t.notMatch(odd.text, 'HTTP');
  }
  const after = await connect(port);
  await after.send(GET);
  t.equal((await after.final())?.status, 200);
});

t.test('a second head that stops half-way', async (t) => {
  const { connect } = await rig(t, listener({ limits: { headerTimeout: '300ms' } }));
  const wire = await connect();
  await wire.send(`${GET}GET /second HTTP/1.1\r\nHo`);
  t.equal((await wire.final())?.status, 200);
  t.equal(reason(await wire.final()), '408 header_timeout');
  await wire.closed();
});

t.test('numbers are per process, however many workers', async (t) => {
  const workers = (config: ProxyConfig): ProxyConfig => ({ ...config, workers: 4 });

  t.test('connections of a listener', async (t) => {
    const { connect } = await rig(t, (config) => workers(listener({ limits: { connections: 3 } })(config)));
    const wires = await Promise.all(Array.from({ length: 12 }, connect));
    const answers = await Promise.all(
      wires.map(async (wire) => {
        await wire.send(GET);
        return (await wire.final())?.status;
      }),
    );
    t.equal(answers.filter((status) => status === 200).length, 3);
  });

  t.test('connections of a service, whichever worker has the idle one', async (t) => {
    const { connect, recorder } = await rig(t, (config) =>
      workers(service({ endpoints: config.services?.api?.endpoints, limits: { connections: 1 } })(config)),
    );
    const found = [];
    for (let round = 0; round < 16; round += 1) {
      const wire = await connect();
      await wire.send(GET);
      found.push(reason(await wire.final()));
      wire.socket.destroy();
    }
    t.same(new Set(found), new Set(['200 ']), found.join());
    t.ok(recorder.sockets.size <= 1, `${recorder.sockets.size} connections`);
  });

  t.test('who waits is served when another worker lets go', async (t) => {
    const { connect, recorder } = await rig(
      t,
      (config) =>
        workers(
          service({
            endpoints: config.services?.api?.endpoints,
            limits: { connections: 1, queueTimeout: '10s' },
          })(config),
        ),
      {
        answer: (_got, { socket }) => {
          setTimeout(
            () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'),
            20,
          );
          return undefined;
        },
      },
    );
    const wires = await Promise.all(Array.from({ length: 8 }, connect));
    const found = await Promise.all(
      wires.map(async (wire) => {
        await wire.send(GET);
        return reason(await wire.final());
      }),
    );
    t.same(new Set(found), new Set(['200 ']), found.join());
    t.equal(recorder.requests.length, 8);
  });
});

t.test('an upstream connection serves as many requests as it may', async (t) => {
  const { connect, recorder } = await rig(t, (config) =>
    service({ endpoints: config.services?.api?.endpoints, pool: { requestsPerConnection: 3 } })(config),
  );
  const wire = await connect();
  for (let round = 0; round < 9; round += 1) {
    await wire.send(GET);
    t.equal((await wire.final())?.status, 200);
  }
  t.same(
    recorder.requests.map(({ connection }) => connection),
    [0, 0, 0, 1, 1, 1, 2, 2, 2],
  );
});

t.test('an idle upstream connection is closed in time', async (t) => {
  const { connect, recorder } = await rig(t, (config) =>
    service({ endpoints: config.services?.api?.endpoints, pool: { idleTimeout: '200ms' } })(config),
  );
  const wire = await connect();
  await wire.send(GET);
  t.equal((await wire.final())?.status, 200);
  const began = Date.now();
  await recorder.until(() => (recorder.sockets.size === 0 ? true : undefined));
  t.ok(Date.now() - began < 2_000);
});

t.test('a client that has ended gets all of a large answer, however slowly it reads', async (t) => {
  const size = 32 << 20; // more than the kernel holds on both sides
  const { port } = await rig(t, undefined, {
    answer: (_got, { socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      socket.write(Buffer.alloc(size, 'x'));
      return undefined;
    },
  });
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  socket.end(GET);
  socket.pause();
  await new Promise((resolve) => setTimeout(resolve, 100));
  let got = 0;
  for await (const part of socket) {
    got += (part as Buffer).length;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  t.ok(got > size, `${got} bytes`);
});
