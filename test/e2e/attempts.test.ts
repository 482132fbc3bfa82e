// How attempts end and what follows: hedges that are not made, limits of time while an attempt connects, probes that tell
// nothing, connections as attempts.

import { once } from 'node:events';
import { constants, createServer as createHttp2Server } from 'node:http2';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { createProxy } from '../../src/index.js';
import { freePorts } from '../ports.js';
import { Admin, Caller, Endpoint, type Reply, tally, until } from './endpoint.js';
import { BY_TURNS, both, type Pair, pair, type Rule, type Service } from './pair.js';
import { simple, startProxy } from './rig.js';

interface Rig extends Pair {
  readonly tcpPort: number;
  readonly admin: Admin;
}

const EJECTS: Service['outlierDetection'] = {
  consecutiveErrors: 3,
  successRate: 'off',
  baseEjection: '300ms',
};

/** Two endpoints behind a service like this and a rule like that, and as they are for connections; one worker. */
async function rig(t: Test, service: Parameters<typeof pair>[1], rule: Partial<Rule> = {}): Promise<Rig> {
  const found = await pair(t, service, [rule]);
  const { a, b, config } = found;
  const [tcpPort = 0] = await freePorts(1);
  const raw: Service = {
    protocol: 'tcp',
    endpoints: [a.address, b.address],
    loadBalancing: BY_TURNS,
    outlierDetection: EJECTS,
  };
  await startProxy(t, {
    ...config,
    workers: 1,
    listeners: {
      ...config.listeners,
      db: { address: `127.0.0.1:${tcpPort}`, protocol: 'tcp', backends: [{ service: 'raw' }] },
    },
    services: { ...config.services, raw },
  });
  return { ...found, tcpPort, admin: new Admin(found.adminPort) };
}

/** So many answers that take so long each: the hedge's delay is a little longer from then on. */
async function learn(t: Test, found: Rig, ms: number): Promise<void> {
  both(found, () => ({ afterMs: ms }));
  t.same(tally(await found.caller(8).many(250, '/')), { 200: 250 });
}

t.jobs = 4;

t.test('what rests before its next attempt is not hedged', async (t) => {
  const retry: Rule['retry'] = {
    attempts: 1,
    on: [503],
    backoff: { base: '400ms', max: '400ms' },
    hedge: {},
  };
  const found = await rig(t, {}, { retry, timeouts: { request: '10s' } });
  await learn(t, found, 40);
  both(found, ({ headers }) => (headers['x-tulle-attempt'] === undefined ? { status: 503 } : {}));
  t.same(tally(await found.caller(10).many(10, '/')), { 200: 10 });
});

t.test('what waits for its turn waits as long as it may, and is not hedged', async (t) => {
  const limits: Service['limits'] = { connections: 1 };
  const service = {
    limits,
    loadBalancing: { policy: 'ring-hash', key: { path: true }, slowStart: '0s' },
  } as const;
  const found = await rig(t, service, { retry: { hedge: {} } });
  both(found, () => ({ afterMs: 2 }));
  t.same(tally(await found.caller(1).many(150, '/')), { 200: 150 });
  both(found, () => ({ afterMs: 200 }));
  t.same(tally(await found.caller(3).many(3, '/')), { 200: 3 });
});

t.test('a hedge alone ends with the request’s time', async (t) => {
  const rule: Partial<Rule> = {
    retry: { attempts: 0, hedge: {} },
    timeouts: { request: '2500ms', perTry: '1500ms' },
  };
  const found = await rig(t, {}, rule);
  await learn(t, found, 20);
  both(found, () => 'hang');
  const answer = await found.caller().ask('/');
  t.equal(answer.status, 504);
  t.ok(answer.ms >= 2_490 && answer.ms < 10_000, `${answer.ms} ms`);
  t.equal(found.a.seen.length, 1);
  t.equal(found.b.seen.length, 1);
});

t.test('a hedge goes where the first attempt did not', async (t) => {
  const loadBalancing: Service['loadBalancing'] = { policy: 'random', slowStart: '0s' };
  const found = await rig(t, { loadBalancing }, { retry: { hedge: {} }, timeouts: { request: '500ms' } });
  await learn(t, found, 5);
  both(found, () => ({}));
  found.b.reply = () => 'hang';
  const caller = found.caller(4);
  await Promise.all(Array.from({ length: 16 }, (_, index) => caller.ask(`/${index}`)));
  const paths = found.b.seen.map(({ url }) => url);
  t.same(paths, [...new Set(paths)], 'none is there twice');
  t.ok(await found.admin.metric('tulle_service_events_total', { service: 'api', event: 'hedge_won' }));
});

t.test('a retry goes neither where the first attempt failed nor where its hedge did', async (t) => {
  const [third = 0] = await freePorts(1);
  const c = await Endpoint.start(t, 'c', third);
  const retry: Rule['retry'] = { attempts: 1, on: [503], backoff: { base: '0ms' }, hedge: {} };
  const loadBalancing: Service['loadBalancing'] = { policy: 'random', slowStart: '0s' };
  const rule: Partial<Rule> = { retry, timeouts: { request: '10s', perTry: '1s' } };
  const found = await rig(t, { loadBalancing, more: [c.address] }, rule);
  const all = [found.a, found.b, c];
  // The hedge fails first, or the attempt before it; the other one fails later, and a retry follows.
  const ways: [Reply, Reply][] = [
    [{ status: 503, afterMs: 700 }, { status: 503 }],
    ['hang', { status: 503, afterMs: 1_500 }],
  ];
  for (const [index, way] of ways.entries()) {
    const caller = found.caller(8);
    const quick = async (count: number): Promise<void> => {
      t.same(tally(await caller.many(count, '/quick')), { 200: count });
    };
    const came = new Map<string, string[]>();
    for (const endpoint of all) {
      endpoint.reply = ({ url }) => {
        if (url === '/quick') return { afterMs: 5 };
        const places = came.get(url) ?? [];
        came.set(url, [...places, endpoint.name]);
        return way[places.length] ?? {};
      };
    }
    let thrice: string[][] = [];
    // On a busy machine, the delay of hedges that was learned may be longer than the attempts, and their budget spent.
    for (let round = 0; thrice.length < 2 && round < 20; round += 1) {
      await quick(round === 0 ? 500 : 100);
      await Promise.all(Array.from({ length: 8 }, (_, number) => caller.ask(`/${round}/${number}`)));
      thrice = [...came.values()].filter((places) => places.length > 2);
    }
    t.ok(thrice.length > 1, `${thrice.length} were hedged and made again`);
    for (const places of thrice) t.same([...places].sort(), ['a', 'b', 'c'], `way ${index}`);
  }
});

t.test(
  'the limit of one attempt counts while it connects, and an earlier one’s does not end the request',
  async (t) => {
    const [port = 0] = await freePorts(1);
    // Takes connections, and says nothing: a handshake that does not end.
    const silent = net.createServer(() => {}).listen(port, '127.0.0.1');
    await once(silent, 'listening');
    t.teardown(() => silent.close());
    const service: Partial<Service> = {
      endpoints: [`127.0.0.1:${port}`],
      tls: { mode: 'simple' },
      connectTimeout: '8s',
    };
    const retry: Rule['retry'] = { attempts: 2, on: ['per-try-timeout'], backoff: { base: '0ms' } };
    const found = await rig(t, service, { retry, timeouts: { request: '6s', perTry: '300ms' } });
    const answer = await found.caller().ask('/', { method: 'POST', body: 'x' });
    t.match(answer, { status: 504, headers: { 'x-tulle-reason': 'per_try_timeout' } });
    t.ok(answer.ms >= 890 && answer.ms < 4_000, `three attempts took ${answer.ms} ms`);
  },
);

t.test('a probe whose client leaves is followed by another one', async (t) => {
  const found = await rig(t, { outlierDetection: EJECTS });
  const caller = found.caller(1);
  found.b.reply = () => ({ status: 500 });
  await caller.many(6, '/');
  await found.admin.stands('api', found.b, 'ejected');
  found.b.reply = () => 'hang';
  found.b.flush();
  await pause(400);
  // One of these is the probe.
  const leave = Array.from({ length: 4 }, async () => {
    const socket = net.connect(found.port, '127.0.0.1').on('error', () => {});
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => found.b.seen.length > 0, 'the probe is there');
    socket.resetAndDestroy();
  });
  await Promise.all(leave);
  t.equal(found.b.seen.length, 1);
  found.b.reply = () => ({});
  await until(async () => {
    t.equal((await caller.ask('/')).status, 200);
    return (await found.admin.standing('api', found.b)).state === 'usable';
  }, 'the endpoint is back');
});

t.test('a probe is a request that can be made again, while there are such', async (t) => {
  const found = await rig(t, { outlierDetection: EJECTS }, { retry: { attempts: 1, on: ['5xx'] } });
  const caller = found.caller(1);
  found.b.reply = () => ({ status: 500 });
  await caller.many(6, '/');
  await found.admin.stands('api', found.b, 'ejected');
  await pause(400);
  found.b.flush();
  t.same(tally(await caller.many(20, '/', { method: 'POST', body: 'x' })), { 200: 20 });
  t.equal(found.b.seen.length, 0);
  t.same(tally(await caller.many(2, '/')), { 200: 2 }, 'who finds out is served elsewhere');
  t.equal(found.b.seen.length, 1);
  found.b.reply = () => ({});
  await until(async () => {
    await caller.ask('/', { method: 'POST', body: 'x' });
    return (await found.admin.standing('api', found.b)).state === 'usable';
  }, 'where nothing else comes, anything will do');
});

t.test('an ejection ends while all wait, and nobody comes who could see it', async (t) => {
  const limits = { endpoint: { requests: 1 }, queueTimeout: '10s' };
  const outlierDetection = { ...EJECTS, baseEjection: '1s' };
  const found = await rig(t, { limits, outlierDetection });
  const caller = found.caller(1);
  found.b.reply = () => ({ status: 500 });
  await caller.many(6, '/');
  await found.admin.stands('api', found.b, 'ejected');
  found.a.reply = () => 'hang';
  void caller.ask('/').catch(() => {});
  await until(() => found.a.open === 1, 'the other one is full');
  found.b.reply = () => ({});
  const answer = await found.caller(1).ask('/', { method: 'POST', body: 'cannot be made again' });
  t.equal(answer.body, 'b');
});

t.test('a probe that finds no connection is not made over and over', async (t) => {
  const limits = { connections: 1, queueTimeout: '10s' };
  const subsets = { one: { one: 'yes' }, two: { two: 'yes' } };
  const found = await pair(t, { limits, subsets, outlierDetection: EJECTS }, [
    { matches: [{ path: { exact: '/one' } }], backends: [{ service: 'api', subset: 'one' }] },
    { matches: [{ path: { exact: '/two' } }], backends: [{ service: 'api', subset: 'two' }] },
  ]);
  const labels = { one: 'yes', two: 'yes' };
  const endpoints = [found.a, found.b].map(({ address }) => ({ address, labels }));
  Object.assign(found.config.services?.api ?? {}, { endpoints });
  await startProxy(t, { ...found.config, workers: 1 });
  const admin = new Admin(found.adminPort);
  const caller = found.caller(4);
  found.b.reply = () => ({ status: 500 });
  for (let index = 0; index < 6; index += 1) await caller.ask('/one');
  await admin.stands('api', found.b, 'ejected');
  found.a.reply = () => 'hang';
  void caller.ask('/one').catch(() => {});
  await until(() => found.a.open === 1, 'the only connection is busy');
  await pause(400);
  for (const path of ['/one', '/two']) void caller.ask(path).catch(() => {});
  await pause(500);
  const probes = await admin.event('api', 'probed');
  t.ok(probes < 20, `${probes} in half a second`);
});

t.test('a connection that is made counts as well, and as a probe', async (t) => {
  const { tcpPort, admin, a, b } = await rig(t, {});
  /** Opens one, and has it carry a request. */
  const connect = async (): Promise<net.Socket> => {
    const socket = net.connect(tcpPort, '127.0.0.1').on('error', () => {});
    t.teardown(() => socket.destroy());
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(socket, 'data');
    return socket;
  };
  // One or two failures, a success, and as many again are no three in a row.
  for (const _ of [1, 2, 3, 4]) {
    b.close();
    await connect();
    await connect();
    await b.listen();
    b.flush();
    while (b.seen.length === 0) await connect();
  }
  t.equal((await admin.standing('raw', b)).state, 'usable');
  b.close();
  await until(async () => {
    await connect();
    return (await admin.standing('raw', b)).state === 'ejected';
  }, 'it is left out');
  await b.listen();
  await pause(400);
  await until(async () => {
    await connect();
    return (await admin.standing('raw', b)).state === 'usable';
  }, 'it is back while connections are open');
  t.ok(a.seen.length > 0);
});

t.test('a delay on purpose comes before an abort on purpose', async (t) => {
  const fault = { delay: { duration: '300ms' }, abort: { status: 418 } };
  const found = await rig(t, {}, { filters: [{ fault }] });
  const answer = await found.caller().ask('/');
  t.equal(answer.status, 418);
  t.ok(answer.ms >= 290, `${answer.ms} ms`);
  t.equal(found.a.seen.length + found.b.seen.length, 0);
});

t.test('an endpoint that closes idle connections before we do is told of, once', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  const server = net.createServer((socket) => {
    socket.on('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      setTimeout(() => socket.end(), 700);
    });
    socket.on('error', () => {});
  });
  server.listen(upstream, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const told: string[] = [];
  const proxy = createProxy(simple(port, [`127.0.0.1:${upstream}`]), {
    onNotice: (text) => told.push(text),
  });
  await proxy.start();
  t.teardown(() => proxy.close());
  for (let round = 0; round < 4; round += 1) {
    t.equal((await new Caller(t, port).ask('/')).status, 200);
    await pause(900);
  }
  await until(() => told.length > 0, 'a notice');
  t.match(told, [/^service api: .* idle for [6-8]\d\d ms, before pool\.idleTimeout \(4000 ms\)/]);
  t.equal(told.length, 1);
});

/** Listens on a free port until the test ends. */
async function listening(t: Test, server: net.Server): Promise<number> {
  const [port = 0] = await freePorts(1);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return port;
}

t.test(
  'an attempt that fails on an open connection is no closing one: it counts, and speaks against its endpoint',
  async (t) => {
    let seen = 0;
    const resets = createHttp2Server()
      .on('stream', (stream, headers) => {
        seen += 1;
        stream.on('error', () => {});
        if (headers[':path'] === '/well') stream.respond({ ':status': 200 }, { endStream: true });
        else stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      })
      .on('session', (session) => t.teardown(() => session.destroy()));
    const halves = net.createServer((socket) =>
      socket
        .on('error', () => {})
        .on('data', (head) => {
          seen += 1;
          if (head.includes('/well')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
          else socket.end('HTTP/1.1 200 OK\r\ncontent-le');
        }),
    );
    const outlierDetection = { ...EJECTS, maxEjectedPercent: 100, baseEjection: '10m' };
    for (const [protocol, server] of [
      ['http2', resets],
      ['http', halves],
    ] as const) {
      const [port = 0, adminPort = 0] = await freePorts(2);
      const endpoint = `127.0.0.1:${await listening(t, server)}`;
      const config = simple(port, [endpoint]);
      await startProxy(t, {
        ...config,
        listeners: { ...config.listeners, admin: { address: `127.0.0.1:${adminPort}`, admin: true } },
        services: { api: { protocol, endpoints: [endpoint], outlierDetection } },
        routes: [{ name: 'all', rules: [{ retry: { attempts: 0 }, backends: [{ service: 'api' }] }] }],
      });
      seen = 0;
      const caller = new Caller(t, port, 1);
      t.equal((await caller.ask('/well')).status, 200);
      for (let index = 0; index < 3; index += 1) {
        t.match(await caller.ask('/'), { status: 502, headers: { 'x-tulle-reason': 'upstream_reset' } });
      }
      t.equal(seen, 4, `${protocol}: none is sent twice`);
      const ejected = await new Admin(adminPort).metric('tulle_service_events_total', {
        service: 'api',
        event: 'ejected',
      });
      t.equal(ejected, 1, `${protocol}: all three count`);
    }
  },
);

t.test('a request on a connection whose endpoint breaks HTTP/2 is an attempt', async (t) => {
  let seen = 0;
  let wire: net.Socket | undefined;
  const streams = createHttp2Server().on('stream', (stream, headers) => {
    seen += 1;
    stream.on('error', () => {});
    if (headers[':path'] === '/well') stream.respond({ ':status': 200 }, { endStream: true });
    else wire?.write(Buffer.from([0, 0, 0, 6, 0, 0, 0, 0, 0])); // a PING without its eight bytes
  });
  streams.on('sessionError', () => {});
  const server = net.createServer((socket) => {
    wire = socket.on('error', () => {});
    t.teardown(() => socket.destroy());
    streams.emit('connection', socket);
  });
  const [port = 0] = await freePorts(1);
  const endpoint = `127.0.0.1:${await listening(t, server)}`;
  await startProxy(t, {
    ...simple(port, [endpoint]),
    services: { api: { protocol: 'http2', endpoints: [endpoint] } },
    routes: [{ name: 'all', rules: [{ retry: { attempts: 0 }, backends: [{ service: 'api' }] }] }],
  });
  const caller = new Caller(t, port, 1);
  for (const path of ['/well', '/', '/well', '/']) {
    const answer = await caller.ask(path);
    t.equal(answer.status, path === '/' ? 502 : 200);
  }
  t.equal(seen, 4, 'none is sent twice');
});

t.test('a copy’s answer is read up to a bound', async (t) => {
  const [port = 0, upstream = 0, endless = 0] = await freePorts(3);
  const endpoint = await Endpoint.start(t, 'a', upstream);
  const written: number[] = [];
  const server = net.createServer((socket) => {
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const more = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', more);
    socket.on('error', () => {});
    socket.on('close', () => written.push(socket.bytesWritten));
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      more();
    });
  });
  server.listen(endless, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const config = simple(port, [endpoint.address]);
  const filters: Rule['filters'] = [{ mirror: { service: 'shadow' } }];
  const proxy = createProxy({
    ...config,
    services: { ...config.services, shadow: { endpoints: [`127.0.0.1:${endless}`] } },
    routes: [{ name: 'all', rules: [{ filters, backends: [{ service: 'api' }] }] }],
  });
  await proxy.start();
  t.teardown(() => proxy.close());
  t.equal((await new Caller(t, port).ask('/')).status, 200);
  await until(() => written.length === 1, 'the copy is cut off');
  const [bytes = 0] = written;
  t.ok(bytes >= 1024 * 1024 && bytes < 32 * 1024 * 1024, `${bytes} bytes, those in sockets among them`);
});
