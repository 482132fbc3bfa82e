// Bounds in space and time: limits of services and endpoints, queues, deadlines, what endpoints say about retries,
// hedging, and the same for gRPC. Proxies are processes of their own, with four workers; numbers are the process's.

import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { freePorts } from '../ports.js';
import { Endpoint, Proxied, type Reply, tally, until } from './endpoint.js';
import { finish, type GrpcAnswer, GrpcEndpoint } from './grpc-endpoint.js';
import { both, inFront, type Pair, pair, type Rule, type Service } from './pair.js';
import { connect as connectEither, session, TwoClient } from './two.js';
import { Wire } from './wire.js';

interface Rig extends Pair {
  readonly proxy: Proxied;
}

/** Two endpoints behind a service like this, and a rule like that. */
async function rig(t: Test, service: Partial<Service>, rule: Partial<Rule> = {}): Promise<Rig> {
  const found = await pair(t, service, [rule]);
  return { ...found, proxy: await Proxied.start(t, found.config, { admin: found.adminPort }) };
}

t.jobs = 3;

t.test('requests under way, those that wait, and for how long', async (t) => {
  const limits = { requests: 4, pending: 6, queueTimeout: '700ms' };
  const found = await rig(t, { endpoints: [], limits });
  const { proxy } = found;
  t.match(await found.caller().ask('/'), { status: 503, headers: { 'x-tulle-reason': 'no_endpoint' } });
  await proxy.reload((await proxy.text()).replace('"endpoints":[]', `"endpoints":["${found.a.address}"]`));
  const caller = found.caller(30);
  both(found, () => ({ afterMs: 2_500 }));
  const waiting = (): Promise<number> => proxy.metric('tulle_requests_waiting', { service: 'api' });
  const asked = caller.many(30, '/');
  await until(async () => (await waiting()) === 6, 'the metrics say how many wait');
  const answers = await asked;
  t.equal(await waiting(), 0);
  t.same(tally(answers), { 200: 4, '503 queue_timeout': 6, '503 pending_full': 20 });
  t.equal(found.a.most, 4);
  for (const { headers, ms } of answers) {
    const reason = headers['x-tulle-reason'];
    if (reason === undefined) continue;
    t.match(headers['retry-after'], /^[1-9]\d*$/);
    if (reason === 'pending_full') t.ok(ms < 700, `turned away at once: ${ms}`);
    else t.ok(ms >= 690 && ms < 2_400, `turned away in time: ${ms}`);
  }
  both(found, () => ({ afterMs: 40 }));
  const later = await found.caller(10).many(100, '/');
  t.same(tally(later), { 200: 100 }, 'those that wait get their turn, whichever worker they are with');
  t.equal(found.a.most, 4);
});

t.test('WebSockets are no requests under way', async (t) => {
  const found = await rig(t, { limits: { requests: 2, pending: 0 } });
  const head = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n';
  const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';
  for (let round = 0; round < 6; round += 1) {
    const wire = await Wire.connect(t, { port: found.port, host: '127.0.0.1' });
    await wire.send(head + key);
    t.equal((await wire.final())?.status, 101);
  }
  t.same(tally(await found.caller(2).many(20, '/')), { 200: 20 });
});

t.test('an endpoint’s own limits', async (t) => {
  const busy = () => ({ afterMs: 20 });
  for (const limits of [{ endpoint: { requests: 3 } }, { endpoint: { connections: 3 } }]) {
    const found = await rig(t, { limits: { ...limits, queueTimeout: '10s' } });
    both(found, busy);
    t.same(tally(await found.caller(20).many(100, '/')), { 200: 100 }, JSON.stringify(limits));
    for (const { most, name } of [found.a, found.b]) t.equal(most, 3, `${name} has what it may have`);
  }
});

/** An endpoint is out after one failed check, and back after one that did not. */
const healthCheck: Service['healthCheck'] = {
  http: { path: '/healthz' },
  interval: '50ms',
  timeout: '1s',
  unhealthyAfter: 1,
  healthyAfter: 1,
};

t.test('who waits for an endpoint is served in order of arrival, whichever worker it came to', async (t) => {
  const limits = { endpoint: { requests: 1 }, queueTimeout: '20s' };
  const found = await rig(t, { limits, healthCheck });
  const { a, b, proxy } = found;
  b.health = { status: 500 };
  await proxy.stands('api', b, 'unhealthy');
  both(found, () => ({ afterMs: 150 }));
  const numbers = Array.from({ length: 15 }, (_, index) => `/${index}`);
  const inOrder = await Promise.all(
    numbers.map(async (url, index) => {
      await pause(index * 60);
      return found.caller(1).ask(url);
    }),
  );
  t.same(tally(inOrder), { 200: 15 });
  t.same(
    a.seen.map(({ url }) => url),
    numbers,
  );
  t.equal(a.most, 1);
  // Nothing ends, but another endpoint is well again.
  a.reply = () => 'hang';
  void found
    .caller(1)
    .ask('/hangs', { headers: { 'x-a': '1' } })
    .catch(() => {});
  await until(() => a.open === 1, 'a is full');
  const waiting = found.caller(1).ask('/waits');
  await pause(100);
  b.reply = () => ({});
  b.health = {};
  t.equal((await waiting).body, 'b');
});

t.test('whoever waits for one of few connections gets one, whichever worker it came to', async (t) => {
  const [port = 0, one = 0] = await freePorts(2);
  const two = await Endpoint.startTwo(t, 'two', port);
  const limits = { connections: 1, queueTimeout: '2s' };
  const single = await Endpoint.start(t, 'one', one);
  const found = await rig(t, { endpoints: [single.address], limits });
  const streams = await rig(t, { protocol: 'http2', endpoints: [two.address], limits });
  for (const endpoint of [single, two]) endpoint.reply = () => ({ afterMs: 1 + Math.random() * 9 });
  const ask = async ({ caller }: Rig): Promise<void> => {
    const ends = performance.now() + 3_500;
    const answers = await caller(60).during(() => performance.now() < ends, '/');
    t.same(Object.keys(tally(answers)), ['200']);
  };
  await Promise.all([ask(found), ask(streams)]);
  t.ok(two.most > 1, 'a connection that was waited for is there for all streams of its worker');
});

t.test('an idle connection of another worker makes room, and no other one in its stead', async (t) => {
  const limits = { endpoint: { connections: 1 }, queueTimeout: '3s' };
  const [a, b] = ['a', 'b'].map((version) => ({ labels: { version } }));
  const found = await pair(t, { limits, subsets: { a: { version: 'a' }, b: { version: 'b' } } }, [
    { matches: [{ path: { exact: '/a' } }], backends: [{ service: 'api', subset: 'a' }] },
    { matches: [{ path: { exact: '/b' } }], backends: [{ service: 'api', subset: 'b' }] },
  ]);
  Object.assign(found.config.services?.api ?? {}, {
    endpoints: [
      { address: found.a.address, ...a },
      { address: found.b.address, ...b },
    ],
  });
  await Proxied.start(t, found.config, { admin: found.adminPort });
  for (let round = 0; round < 8; round += 1) {
    const caller = found.caller(1);
    for (const path of ['/b', '/a']) t.equal((await caller.ask(path)).status, 200);
  }
});

t.test(
  'all that is freed is used, and what a change brings is not kept from who comes after it',
  async (t) => {
    const found = await rig(t, { limits: { endpoint: { requests: 4 }, queueTimeout: '20s' }, healthCheck });
    const { a, b, proxy } = found;
    b.health = { status: 500 };
    await proxy.stands('api', b, 'unhealthy');
    both(found, () => 'hang');
    const caller = found.caller(30);
    const ask = (): void => void caller.ask('/', { headers: { 'x-a': '1' } }).catch(() => {});
    for (let index = 0; index < 10; index += 1) ask();
    await until(() => a.open === 4, 'a is full');
    await pause(200);
    b.health = {};
    await until(() => b.open === 4, 'b has as many as it may, though only one thing happened');
    const [port = 0] = await freePorts(1);
    const c = await Endpoint.start(t, 'c', port);
    await proxy.reload((await proxy.text()).replace(`"${b.address}"`, `"${b.address}","${c.address}"`));
    t.equal((await caller.ask('/')).body, 'c');
    const more = (await proxy.text()).replace('"requests":4', '"requests":5');
    await proxy.reload(more);
    await until(() => a.open + b.open === 10, 'who has waited since before goes on by the limits of now');
  },
);

t.test('retries under way', async (t) => {
  const retry: Rule['retry'] = { attempts: 1, on: [503], backoff: { base: '0ms' } };
  const found = await rig(t, { limits: { retries: 2 } }, { retry });
  both(found, () => ({ status: 503 }));
  let first = 0;
  for (const endpoint of [found.a, found.b]) {
    endpoint.reply = ({ headers }) => {
      first += headers['x-tulle-attempt'] === undefined ? 1 : 0;
      return headers['x-tulle-attempt'] === undefined ? { status: 503 } : { afterMs: 600 };
    };
  }
  const answers = await found.caller(20).many(20, '/');
  t.same(tally(answers), { 200: 2, 503: 18 });
  t.equal(first, 20);
  t.equal(await found.proxy.event('api', 'retries_limited'), 18);
});

t.test('retry-after is honoured', async (t) => {
  const retry: Rule['retry'] = { attempts: 1, on: [503, 429], backoff: { base: '0ms' } };
  const found = await rig(t, {}, { retry, timeouts: { request: '5s' } });
  const caller = found.caller();
  const after = (status: number, value: string): void =>
    both(found, () => {
      const begun = found.a.seen.length + found.b.seen.length > 1;
      return begun ? {} : { status, headers: { 'retry-after': value } };
    });
  after(503, '1');
  const waited = await caller.ask('/');
  t.equal(waited.status, 200);
  t.ok(waited.ms >= 1_000 && waited.ms < 5_000, `${waited.ms} ms`);
  after(429, '0');
  t.equal((await caller.ask('/')).status, 200);
  after(503, '60');
  const late = await caller.ask('/');
  t.match(late, { status: 503, headers: { 'retry-after': '60' } }, 'what would come too late is not tried');
  t.ok(late.ms < 2_000);
  t.equal(found.a.seen.length + found.b.seen.length, 1);
});

t.test('x-tulle-deadline', async (t) => {
  const retry: Rule['retry'] = { attempts: 1, on: ['per-try-timeout'], backoff: { base: '0ms' } };
  const found = await rig(t, {}, { retry, timeouts: { request: '900ms', perTry: '600ms' } });
  const caller = found.caller();
  const told = (): number[] =>
    [...found.a.seen, ...found.b.seen]
      .sort((one, other) => one.at - other.at)
      .map(({ headers }) => Number(headers['x-tulle-deadline']));
  both(found, () => 'hang');
  const over = await caller.ask('/');
  t.equal(over.status, 504);
  t.ok(over.ms >= 900 && over.ms < 9_000, `${over.ms} ms`);
  const [first = 0, second = 0, ...more] = told();
  t.same(more, []);
  t.ok(first > 300 && first <= 600, `first ${first} ms: the limit of one try`);
  t.ok(second > 0 && second <= 300, `then ${second} ms: what is left of the request`);
  both(found, () => ({}));
  await caller.ask('/', { headers: { 'x-tulle-deadline': '250' } });
  const [passed = 0] = told();
  t.ok(passed > 0 && passed <= 250, `${passed} of the caller’s 250 ms`);
  await caller.ask('/', { headers: { 'x-tulle-deadline': '999999' } });
  t.ok((told()[1] ?? 0) <= 600, 'a caller cannot have more than the rule gives');
  both(found, () => 'hang');
  const early = await caller.ask('/', { headers: { 'x-tulle-deadline': '250' } });
  t.match(early, { status: 504, headers: { 'x-tulle-reason': 'deadline_exceeded' } });
  t.ok(early.ms >= 250 && early.ms < 2_500, `${early.ms} ms`);
  t.equal(told().length, 1, 'there is no time for another try');
  both(found, () => ({}));
  for (const left of ['0', '00']) {
    const none = await caller.ask('/', { headers: { 'x-tulle-deadline': left } });
    t.match(none, { status: 504, headers: { 'x-tulle-reason': 'deadline_exceeded' } });
  }
  await caller.ask('/');
  t.equal(told().length, 1, 'what has no time left goes nowhere');
});

t.test('the time of a request is also that of its waits', async (t) => {
  const found = await rig(
    t,
    { limits: { requests: 1, queueTimeout: '20s' } },
    { timeouts: { request: '400ms' } },
  );
  // Of an answer whose head is there, nothing but silence ends: the room is taken until the client leaves.
  found.a.reply = () => ({ body: '', headers: { 'content-length': 1 } });
  found.b.reply = found.a.reply;
  const socket = connect(found.port, '127.0.0.1').on('error', () => {});
  t.teardown(() => socket.destroy());
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(socket, 'data');
  const waited = await found.caller().ask('/');
  t.match(waited, { status: 504, headers: { 'x-tulle-reason': 'request_timeout' } });
  t.ok(waited.ms >= 390 && waited.ms < 4_000, `${waited.ms} ms`);
});

t.test('a request’s time goes on while it waits for room, and while it is delayed on purpose', async (t) => {
  const timeouts = { request: '300ms' };
  const prefix = (path: string): Rule['matches'] => [{ path: { prefix: path } }];
  const found = await pair(t, { limits: { requests: 1, queueTimeout: '30s' } }, [
    { matches: prefix('/short'), timeouts },
    { matches: prefix('/late'), timeouts, filters: [{ fault: { delay: { duration: '30s' } } }] },
    {},
  ]);
  await Proxied.start(t, found.config, { admin: found.adminPort });
  both(found, () => ({ afterMs: 4_000 }));
  const caller = found.caller();
  const under = caller.ask('/');
  await until(() => found.a.seen.length + found.b.seen.length === 1, 'one is under way');
  const two = new TwoClient(await session(t, found.port));
  const short = await Promise.all(['/short', '/late'].map((path) => caller.ask(path)));
  for (const { status, headers, ms } of short) {
    t.match({ status, headers }, { status: 504, headers: { 'x-tulle-reason': 'request_timeout' } });
    t.ok(ms >= 290 && ms < 3_000, `${ms} ms`);
  }
  t.equal((await two.ask({ path: '/short' })).status, 504);
  t.equal((await under).status, 200);
  t.equal(found.a.seen.length + found.b.seen.length, 1, 'the others were never sent');
});

t.test('faults: delay with a limit, a header and a body’s bandwidth', async (t) => {
  const filters: Rule['filters'] = [
    {
      fault: {
        headers: { 'x-chaos': 'yes' },
        bandwidth: { bytesPerSecond: 40_000 },
        delay: { duration: '100ms' },
      },
    },
  ];
  const found = await rig(t, {}, { filters });
  both(found, () => ({ body: 'x'.repeat(40_000) }));
  const caller = found.caller();
  const plain = await caller.ask('/');
  t.equal(plain.body.length, 40_000);
  t.ok(plain.ms < 1_000, `${plain.ms} ms without the header`);
  const paced = await caller.ask('/', { headers: { 'x-chaos': 'yes' } });
  t.equal(paced.body.length, 40_000, 'all of it comes');
  t.ok(paced.ms >= 600 && paced.ms < 11_000, `${paced.ms} ms for a second’s worth`);
});

t.test('what a fault holds back is not idle', async (t) => {
  const [other = 0] = await freePorts(1);
  const two = await Endpoint.startTwo(t, 'two', other);
  const prefix = (path: string): Rule['matches'] => [{ path: { prefix: path } }];
  const timeouts = { streamIdle: '200ms' };
  const paced: Rule['filters'] = [{ fault: { bandwidth: { bytesPerSecond: 3 } } }];
  const found = await pair(t, {}, [
    { matches: prefix('/late'), timeouts, filters: [{ fault: { delay: { duration: '600ms' } } }] },
    { matches: prefix('/two'), timeouts, filters: paced, backends: [{ service: 'two' }] },
    { timeouts, filters: paced },
  ]);
  const streams: Service = { protocol: 'http2', endpoints: [two.address] };
  const config = { ...found.config, services: { ...found.config.services, two: streams } };
  await Proxied.start(t, config, { admin: found.adminPort });
  const [one, stream] = [await connectEither(t, 1, found.port), await connectEither(t, 2, found.port)];
  const asked = async (): Promise<(string | undefined)[]> => {
    const all = [one, stream].flatMap((client) => ['/one', '/two'].map((path) => client.ask({ path })));
    const answers = await Promise.allSettled(all);
    return answers.map((answer) => (answer.status === 'fulfilled' ? String(answer.value.body) : undefined));
  };
  const late = async (): Promise<(number | undefined)[]> => {
    const wire = await Wire.connect(t, { port: found.port, host: '127.0.0.1' });
    await wire.send('POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n');
    await pause(50);
    await wire.send('body');
    const posted = stream.ask({ path: '/late', method: 'POST', body: Buffer.from('body') });
    return [(await wire.final())?.status, (await posted).status];
  };
  const reply = (answer: Reply): void => {
    for (const endpoint of [found.a, found.b, two]) endpoint.reply = () => answer;
  };
  reply({ body: 'slow' });
  const [bodies, statuses] = await Promise.all([asked(), late()]);
  t.same(bodies, ['slow', 'slow', 'slow', 'slow'], 'all of a slow answer comes');
  t.same(statuses, [200, 200], 'a body that came meanwhile goes on after a delay');
  reply({ body: '', headers: { 'content-length': 1 } });
  t.same(await asked(), [undefined, undefined, undefined, undefined], 'who says nothing itself is idle');
});

t.test('Host is a condition and a key for either kind of client', async (t) => {
  const filters: Rule['filters'] = [{ fault: { headers: { host: 'ill.test' }, abort: { status: 418 } } }];
  const matches: Rule['matches'] = [{ path: { prefix: '/by-rule' }, headers: { host: 'ill.test' } }];
  const limit: Rule['filters'] = [{ rateLimit: { requestsPerSecond: 1, burst: 1, key: { header: 'host' } } }];
  const found = await pair(t, {}, [
    { matches: [{ path: { prefix: '/limited' } }], filters: limit },
    { matches, filters },
    { filters },
  ]);
  await Proxied.start(t, found.config, { admin: found.adminPort });
  const two = new TwoClient(await session(t, found.port));
  for (const host of ['a.test', 'b.test']) {
    const ask = { path: '/limited', headers: { ':authority': host } };
    const [first, ...others] = await Promise.all(Array.from({ length: 8 }, () => two.ask(ask)));
    t.equal(first?.status, 200, `${host} has a limit of its own`);
    t.ok(
      others.some(({ status }) => status === 429),
      'of one each second',
    );
  }
  for (const [host, status] of [
    ['ill.test', 418],
    ['well.test', 200],
  ] as const) {
    for (const path of ['/', '/by-rule']) {
      t.equal((await found.caller().ask(path, { headers: { host } })).status, status, `${host}${path}`);
      t.equal((await two.ask({ path, headers: { ':authority': host } })).status, status, `${host}${path}`);
    }
  }
});

t.test('hedging', async (t) => {
  const found = await rig(t, {}, { retry: { hedge: {} }, timeouts: { request: '10s' } });
  const caller = found.caller(8);
  both(found, () => ({ afterMs: 1 }));
  const warm = 1_200;
  t.same(tally(await caller.many(warm, '/')), { 200: warm });
  const early = found.a.flush().length + found.b.flush().length;
  t.ok(early <= warm * 1.05 + 8, `${early - warm} more than ${warm}`);
  // One in fifty of those on `b` takes a thousand times as long.
  let count = 0;
  let slow = 0;
  found.b.reply = () => {
    count += 1;
    if (count % 50 !== 0) return { afterMs: 1 };
    slow += 1;
    return { afterMs: 1_500 };
  };
  const answers = await caller.many(1_000, '/');
  t.same(tally(answers), { 200: 1_000 });
  const late = answers.filter(({ ms }) => ms > 1_000).length;
  t.ok(slow >= 5 && late <= slow / 2, `${late} of ${slow} wait for the slow answer`);
  const extra = found.a.flush().length + found.b.flush().length - 1_000;
  // Five percent of all that came, and what workers round up.
  const all = extra + early - warm;
  t.ok(extra >= 5 && all <= 0.05 * (warm + 1_000) + 8, `${all} more than ${warm + 1_000}`);
  t.ok((await found.proxy.event('api', 'hedged')) >= 5);
  t.ok((await found.proxy.event('api', 'hedge_won')) >= 5);
  both(found, () => ({ afterMs: 1 }));
  await caller.many(400, '/', { method: 'POST', body: 'x' });
  t.equal(found.a.flush().length + found.b.flush().length, 400, 'what is not idempotent is sent once');
});

const GRPC_RULES: Partial<Rule>[] = [
  {
    matches: [{ path: { prefix: '/fault.Fault' } }],
    filters: [{ fault: { abort: { status: 503, grpcStatus: 9 } } }],
  },
  {
    matches: [{ path: { prefix: '/fault.Forbidden' } }],
    filters: [{ fault: { abort: { status: 403 } } }],
  },
  {
    retry: { attempts: 1, on: ['grpc-unavailable'], nonIdempotent: true, backoff: { base: '0ms' } },
    timeouts: { request: '5s' },
  },
];

interface GrpcRig {
  readonly proxy: Proxied;
  readonly a: GrpcEndpoint;
  readonly b: GrpcEndpoint;
  call(path?: string): Promise<{ status: unknown; ms: number; reason: unknown }>;
}

async function grpcRig(t: Test, service: Partial<Service>): Promise<GrpcRig> {
  const [port = 0, adminPort = 0, one = 0, two = 0] = await freePorts(4);
  const [a, b] = [await GrpcEndpoint.start(t, one), await GrpcEndpoint.start(t, two)];
  const endpoints = [a.address, b.address];
  const config = inFront({ port, adminPort }, { protocol: 'grpc', endpoints, ...service }, GRPC_RULES);
  const proxy = await Proxied.start(t, config, { admin: adminPort });
  const client = new TwoClient(await session(t, port));
  const call = async (path = '/test.Echo/Unary') => {
    const began = performance.now();
    const headers = { 'content-type': 'application/grpc', te: 'trailers' };
    const told = await client.ask({ path, method: 'POST', headers, body: Buffer.from([0, 0, 0, 0, 1, 7]) });
    const status = told.trailers['grpc-status'] ?? told.headers['grpc-status'];
    return { status, ms: performance.now() - began, reason: told.headers['x-tulle-reason'] };
  };
  return { proxy, a, b, call };
}

t.test('gRPC: retries by status, pushback, faults', async (t) => {
  const { call, a, b } = await grpcRig(t, {});
  const tries = (): number => a.seen.length + b.seen.length;
  const first = (answer: GrpcAnswer): void => {
    for (const endpoint of [a, b]) {
      endpoint.seen.length = 0;
      endpoint.answer = (stream, headers) =>
        tries() === 1 ? answer(stream, headers) : finish(stream, '0', { body: true });
    }
  };
  first((stream) => finish(stream, '14', { head: false }));
  t.match(await call(), { status: '0' }, 'unavailable without a head of its own');
  t.equal(tries(), 2);
  t.equal(a.seen.length, 1, 'on the other endpoint');
  t.match([...a.seen, ...b.seen].map((head) => head['x-tulle-attempt']).sort(), ['2', undefined]);
  first((stream) => finish(stream, '14'));
  t.match(await call(), { status: '0' }, 'unavailable behind a head, without a message');
  t.equal(tries(), 2);
  for (const endpoint of [a, b]) endpoint.answer = (stream) => finish(stream, '0', { body: true });
  const plain = new Set<unknown>();
  for (let round = 0; round < 300; round += 1) plain.add((await call()).status);
  t.same([...plain], ['0'], 'what is well goes through, however its frames come');
  first((stream) => finish(stream, '14', { body: true }));
  t.match(await call(), { status: '14' }, 'unavailable behind a message');
  t.equal(tries(), 1, 'of which the client has seen something');
  first((stream) => finish(stream, '5', { head: false }));
  t.match(await call(), { status: '5' }, 'a status that is not named');
  t.equal(tries(), 1);
  first((stream) => finish(stream, '14', { head: false, more: { 'grpc-retry-pushback-ms': '700' } }));
  const pushed = await call();
  t.equal(pushed.status, '0');
  t.ok(pushed.ms >= 700 && pushed.ms < 5_000, `pushed back for ${pushed.ms} ms`);
  first((stream) => finish(stream, '14', { head: false, more: { 'grpc-retry-pushback-ms': '-1' } }));
  t.match(await call(), { status: '14' }, 'told not to come again');
  t.equal(tries(), 1);
  first((stream) => stream.respond({ ':status': 503 }, { endStream: true }));
  t.match(await call('/fault.Fault/Any'), { status: '9', reason: 'fault' }, 'a fault on purpose');
  t.match(await call('/fault.Forbidden/Any'), { status: '7' }, 'what its HTTP status stands for');
  t.equal(tries(), 0);
});

t.test('gRPC: health', async (t) => {
  const healthCheck = {
    grpc: { service: 'test.Echo' },
    interval: '100ms',
    timeout: '5s',
    unhealthyAfter: 2,
  };
  const { proxy, call, a, b } = await grpcRig(t, { healthCheck });
  await until(() => a.checked.length > 0 && b.checked.length > 0, 'both are asked');
  t.match(a.checked[0], /test\.Echo$/, 'about the service that is written');
  t.match(await call(), { status: '0', reason: undefined });
  for (const endpoint of [a, b]) endpoint.serving = 2;
  await until(
    async () => (await proxy.metric('tulle_endpoints', { service: 'api', state: 'unhealthy' })) === 2,
    'both do not serve',
  );
  t.match(await call(), { status: '14', reason: 'no_endpoint' });
  const { endpoints } = await proxy.service('api');
  for (const { why } of endpoints) t.match(why, /\w/);
  for (const endpoint of [a, b]) endpoint.serving = 1;
  await until(async () => (await call()).status === '0', 'they are back');
});
