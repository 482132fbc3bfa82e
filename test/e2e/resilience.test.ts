// Bounds in space and time: limits of services and endpoints, queues, deadlines, what endpoints say about retries,
// hedging, and the same for gRPC. Proxies are processes of their own, with four workers; numbers are the process's.

import { once } from 'node:events';
import http2 from 'node:http2';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { ProxyConfig } from '../../src/index.js';
import { freePorts } from '../ports.js';
import type { Scope } from '../process.js';
import { Caller, Endpoint, Proxied, type Reply, tally, until } from './endpoint.js';
import { session, TwoClient } from './two.js';
import { Wire } from './wire.js';

type Service = NonNullable<ProxyConfig['services']>[string];
type Rule = NonNullable<NonNullable<ProxyConfig['routes']>[number]['rules']>[number];

interface Rig {
  readonly port: number;
  readonly proxy: Proxied;
  readonly a: Endpoint;
  readonly b: Endpoint;
  /** As many connections as requests at a time. */
  caller(connections?: number): Caller;
}

/** Two endpoints behind a service like this, and a rule like that. */
async function rig(t: Test, service: Partial<Service>, rule: Partial<Rule> = {}): Promise<Rig> {
  const [port = 0, admin = 0, one = 0, two = 0] = await freePorts(4);
  const [a, b] = [await Endpoint.start(t, 'a', one), await Endpoint.start(t, 'b', two)];
  const config = {
    workers: 4,
    listeners: {
      web: { address: `127.0.0.1:${port}` },
      admin: { address: `127.0.0.1:${admin}`, admin: true },
    },
    services: {
      api: {
        endpoints: [a.address, b.address],
        loadBalancing: { policy: 'round-robin', slowStart: '0s' },
        ...service,
      },
    },
    routes: [{ name: 'all', rules: [{ ...rule, backends: [{ service: 'api' }] }] }],
  } as ProxyConfig;
  const proxy = await Proxied.start(t, config, admin);
  return { port, proxy, a, b, caller: (connections) => new Caller(t, port, connections) };
}

/** Both do the same. */
function both({ a, b }: Rig, reply: () => Reply): void {
  for (const endpoint of [a, b]) {
    endpoint.flush();
    endpoint.reply = reply;
  }
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
  const answers = await caller.many(30, '/');
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

t.test('an adaptive limit sheds, and says when to come again', async (t) => {
  const found = await rig(t, { limits: { adaptive: { min: 4, max: 32 }, requests: 1_000 } });
  // Both answer one request after the other, each in 3 ms.
  let turn = Promise.resolve();
  const queue = async (): Promise<void> => {
    const mine = turn.then(() => pause(3));
    turn = mine;
    await mine;
  };
  for (const endpoint of [found.a, found.b]) endpoint.before = queue;
  const calm = await found.caller(2).many(200, '/');
  t.same(tally(calm), { 200: 200 }, 'nothing is shed without need');
  const answers = await found.caller(120).many(2_000, '/', { patienceMs: 60 });
  const { 200: good = 0, '503 shed': shed = 0, ...others } = tally(answers);
  t.same(others, {});
  t.ok(good > 40, `${good} good answers`);
  t.ok(shed > 0, `${shed} shed`);
  t.ok(found.a.most + found.b.most <= 40, `${found.a.most} and ${found.b.most} at a time`);
  t.ok(
    answers.every(({ status, headers }) => status === 200 || /^[1-9]\d*$/.test(headers['retry-after'] ?? '')),
    'who is shed is told when to come again',
  );
  t.equal(await found.proxy.event('api', 'shed'), shed);
});

/** What a gRPC endpoint does with a call. */
type Answer = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void;

/** An endpoint that speaks gRPC as far as is needed here. */
class GrpcEndpoint {
  readonly seen: http2.IncomingHttpHeaders[] = [];
  readonly checked: string[] = [];
  serving = 1;
  answer: Answer = (stream) => finish(stream, '0', { body: true });

  static async start(scope: Scope, port: number): Promise<GrpcEndpoint> {
    const endpoint = new GrpcEndpoint();
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

/** Ends a call with this status: at once, or behind a head alone, or behind a message. */
function finish(
  stream: http2.ServerHttp2Stream,
  status: string,
  { body, head = true, more = {} }: { body?: boolean | Buffer; head?: boolean; more?: object } = {},
): void {
  const last = { 'grpc-status': status, ...more };
  const first = { ':status': 200, 'content-type': 'application/grpc' };
  if (!head) {
    stream.respond({ ...first, ...last }, { endStream: true });
    return;
  }
  stream.respond(first, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(last));
  if (body === undefined) stream.end();
  else stream.end(Buffer.isBuffer(body) ? body : Buffer.from([0, 0, 0, 0, 1, 7]));
}

interface GrpcRig {
  readonly proxy: Proxied;
  readonly a: GrpcEndpoint;
  readonly b: GrpcEndpoint;
  call(path?: string): Promise<{ status: unknown; ms: number; reason: unknown }>;
}

async function grpcRig(t: Test, service: Partial<Service>, rules: Rule[]): Promise<GrpcRig> {
  const [port = 0, admin = 0, one = 0, two = 0] = await freePorts(4);
  const [a, b] = [await GrpcEndpoint.start(t, one), await GrpcEndpoint.start(t, two)];
  const config = {
    workers: 4,
    listeners: {
      web: { address: `127.0.0.1:${port}` },
      admin: { address: `127.0.0.1:${admin}`, admin: true },
    },
    services: {
      api: {
        protocol: 'grpc',
        endpoints: [`127.0.0.1:${one}`, `127.0.0.1:${two}`],
        loadBalancing: { policy: 'round-robin', slowStart: '0s' },
        ...service,
      },
    },
    routes: [{ name: 'all', rules }],
  } as ProxyConfig;
  const proxy = await Proxied.start(t, config, admin);
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

const GRPC_RULES: Rule[] = [
  {
    matches: [{ path: { prefix: '/fault.Fault' } }],
    filters: [{ fault: { abort: { status: 503, grpcStatus: 9 } } }],
    backends: [{ service: 'api' }],
  },
  {
    retry: { attempts: 1, on: ['grpc-unavailable'], nonIdempotent: true, backoff: { base: '0ms' } },
    timeouts: { request: '5s' },
    backends: [{ service: 'api' }],
  },
];

t.test('gRPC: retries by status, pushback, faults', async (t) => {
  const { call, a, b } = await grpcRig(t, {}, GRPC_RULES);
  const tries = (): number => a.seen.length + b.seen.length;
  const first = (answer: Answer): void => {
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
  t.equal(tries(), 0);
});

t.test('gRPC: health', async (t) => {
  const healthCheck = {
    grpc: { service: 'test.Echo' },
    interval: '100ms',
    timeout: '100ms',
    unhealthyAfter: 2,
  };
  const { proxy, call, a, b } = await grpcRig(t, { healthCheck }, GRPC_RULES);
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
