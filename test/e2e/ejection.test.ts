// Which endpoints are left out for what they answer, and how they come back: by the status of gRPC calls, wherever it
// stands, and by the share of successes alone. One proxy in a process of its own, with four workers; each test has a
// service and endpoints of its own there.

import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { ProxyConfig } from '../../src/index.js';
import { freePorts } from '../ports.js';
import { Caller, Endpoint, Proxied, shares, tally, until } from './endpoint.js';
import { finish, GrpcEndpoint } from './grpc-endpoint.js';
import { session, TwoClient } from './two.js';

type Service = NonNullable<ProxyConfig['services']>[string];
type Rule = NonNullable<NonNullable<ProxyConfig['routes']>[number]['rules']>[number];
type Detection = NonNullable<Service['outlierDetection']>;

/** Errors in a row until an endpoint is ejected. */
const IN_A_ROW = 5;

/** Ways in which a call fails behind `200`. */
const WAYS = [
  { service: 'bare', status: '14', how: { head: false }, retried: false },
  { service: 'behind-head', status: '13', how: {}, retried: false },
  { service: 'behind-message', status: '2', how: { body: true }, retried: false },
  { service: 'bare-retried', status: '14', how: { head: false }, retried: true },
  { service: 'behind-head-retried', status: '14', how: {}, retried: true },
] as const;

/** Statuses that say something of the request. */
const OF_REQUESTS = ['1', '3', '5', '6', '7', '8', '9', '10', '11', '12', '16'] as const;

const [port = 0, admin = 0] = await freePorts(2);

async function grpcEndpoints(): Promise<GrpcEndpoint[]> {
  return Promise.all((await freePorts(3)).map((at) => GrpcEndpoint.start(t, at)));
}

async function endpoints(): Promise<Endpoint[]> {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const ports = await freePorts(names.length);
  return Promise.all(names.map((name, index) => Endpoint.start(t, name, ports[index] ?? 0)));
}

/** By turns, with these rules of ejection. */
function service(
  all: readonly { readonly address: string }[],
  outlierDetection: Detection,
  more: Partial<Service> = {},
): Service {
  return {
    endpoints: all.map(({ address }) => address),
    loadBalancing: { policy: 'round-robin', slowStart: '0s' },
    outlierDetection,
    ...more,
  };
}

/** What asks for `/NAME` goes to the service of that name; what probes is not picky. */
function rule(name: string, on: NonNullable<Rule['retry']>['on'] = ['connect-failure']): Rule {
  return {
    matches: [{ path: { prefix: `/${name}` } }],
    retry: { attempts: 1, on, nonIdempotent: true, backoff: { base: '0ms' } },
    backends: [{ service: name }],
  };
}

const grpc = { protocol: 'grpc' } as const;
const byStatus = new Map<string, GrpcEndpoint[]>();
for (const way of WAYS) byStatus.set(way.service, await grpcEndpoints());
const calm = await grpcEndpoints();
const low = await endpoints();
const byShare = new Map<number, Endpoint[]>();
for (const share of [20, 40]) byShare.set(share, await endpoints());

const services: Record<string, Service> = {
  calm: service(calm, { consecutiveErrors: 1, baseEjection: '60s', maxEjectedPercent: 100 }, grpc),
  low: service(low, { consecutiveErrors: IN_A_ROW, successRate: {}, baseEjection: '60s' }),
};
const rules = [rule('calm'), rule('low')];
for (const { service: name, retried } of WAYS) {
  const detection: Detection = {
    consecutiveErrors: IN_A_ROW,
    successRate: 'off',
    baseEjection: '400ms',
    maxEjection: '400ms',
  };
  services[name] = service(byStatus.get(name) ?? [], detection, grpc);
  rules.push(rule(name, retried ? ['grpc-unavailable'] : undefined));
}
for (const [share, all] of byShare) {
  const detection: Detection = {
    consecutiveErrors: 0,
    successRate: { percent: 80, minRequests: 20 },
    baseEjection: '60s',
    maxEjectedPercent: share,
  };
  services[`share-${share}`] = service(all, detection);
  rules.push(rule(`share-${share}`));
}

const proxy = await Proxied.start(
  t,
  {
    workers: 4,
    listeners: {
      web: { address: `127.0.0.1:${port}` },
      admin: { address: `127.0.0.1:${admin}`, admin: true },
    },
    services,
    routes: [{ name: 'all', rules }],
  },
  { admin },
);

/** Calls, by one connection after the other. */
interface Callers {
  /** One call; resolves with its status. */
  call(): Promise<unknown>;
  /** So many, each after the answer to the one before. */
  many(count: number): Promise<unknown[]>;
}

/** Clients of a service. */
async function callers(t: Test, name: string): Promise<Callers> {
  const clients: TwoClient[] = [];
  while (clients.length < 4) clients.push(new TwoClient(await session(t, port)));
  let turn = 0;
  const call = async (): Promise<unknown> => {
    const client = clients[turn % clients.length];
    turn += 1;
    const told = await client?.ask({
      path: `/${name}/Unary`,
      method: 'POST',
      headers: { 'content-type': 'application/grpc', te: 'trailers' },
      body: Buffer.from([0, 0, 0, 0, 1, 7]),
    });
    if (told?.status !== 200) t.fail(`${told?.status} ${told?.headers['x-tulle-reason']}`);
    return told?.trailers['grpc-status'] ?? told?.headers['grpc-status'];
  };
  const many = async (count: number): Promise<unknown[]> => {
    const statuses: unknown[] = [];
    while (statuses.length < count) statuses.push(await call());
    return statuses;
  };
  return { call, many };
}

t.jobs = 4;

for (const { service: name, status, how, retried } of WAYS) {
  t.test(`by the status of gRPC calls: ${name}`, async (t) => {
    const [a, b, c] = byStatus.get(name) ?? [];
    if (a === undefined || b === undefined || c === undefined) throw new Error('three endpoints');
    const { call, many } = await callers(t, name);
    const statuses: unknown[] = [];
    const event = (which: string): Promise<number> => proxy.event(name, which);
    const bad = (): number => statuses.filter((found) => found !== '0').length;

    b.answer = (stream) => finish(stream, status, how);
    while (b.seen.length < IN_A_ROW) {
      t.equal((await proxy.standing(name, b)).state, 'usable', `after ${b.seen.length} errors in a row`);
      statuses.push(await call());
    }
    t.equal((await proxy.standing(name, b)).state, 'ejected');
    const before = a.seen.length + c.seen.length;
    statuses.push(...(await many(20)));
    t.ok(a.seen.length + c.seen.length >= before + 20, 'the others go on');
    // A probe is one call, and what fails it leaves the endpoint where it was.
    await until(async () => {
      statuses.push(await call());
      return b.seen.length > IN_A_ROW;
    }, 'a probe');
    t.equal(b.seen.length, IN_A_ROW + (await event('probed')), 'it gets probes, and nothing else');
    t.equal(bad(), retried ? 0 : b.seen.length, 'who else is asked has his answer');
    for (const endpoint of [a, c]) t.equal((await proxy.standing(name, endpoint)).state, 'usable');

    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    b.answer = (stream) => finish(stream, '0', { ...how, body: true, held });
    const failed = b.seen.length;
    const probe: Promise<unknown>[] = [];
    await until(() => {
      probe.push(call());
      return b.seen.length > failed;
    }, 'another probe');
    t.same(new Set(await many(20)), new Set(['0']));
    t.equal(b.seen.length, failed + 1, 'as long as the one probe has no status, nothing else goes there');
    t.equal((await proxy.standing(name, b)).state, 'ejected', 'nor is it back');
    release();
    await proxy.stands(name, b, 'usable');
    t.same(new Set(await Promise.all(probe)), new Set(['0']));
    t.equal(await event('probed'), failed + 1 - IN_A_ROW);
    t.equal(await event('ejected'), failed + 1 - IN_A_ROW, 'once, and for each probe that failed');
    t.equal(await event('readmitted'), 1);
    t.same(new Set(await many(30)), new Set(['0']));
    t.ok(b.seen.length > failed + 5, 'it has its share');
  });
}

t.test('statuses that say something of the request eject nobody', async (t) => {
  const [a, b, c] = calm;
  if (a === undefined || b === undefined || c === undefined) throw new Error('three endpoints');
  const { call, many } = await callers(t, 'calm');
  const answered = async (status: string, how: object): Promise<void> => {
    for (const endpoint of calm) endpoint.answer = (stream) => finish(stream, status, how);
    t.same(new Set(await many(6)), new Set([status]));
  };
  for (const status of OF_REQUESTS) {
    await answered(status, { head: false });
    await answered(status, { body: true });
  }
  for (const endpoint of calm) {
    t.ok(endpoint.seen.length > 3 * OF_REQUESTS.length);
    t.equal((await proxy.standing('calm', endpoint)).state, 'usable');
  }
  a.answer = (stream) => finish(stream, '4', { body: true });
  b.answer = (stream) => finish(stream, '15', { head: false });
  c.answer = (stream) => finish(stream, '0', { body: true });
  await until(async () => {
    await call();
    return (await proxy.metric('tulle_endpoints', { service: 'calm', state: 'ejected' })) === 2;
  }, 'these two do');
  t.equal((await proxy.standing('calm', c)).state, 'usable');
});

/** Fails one request in so many. */
function failsOneIn(endpoint: Endpoint, every: number): void {
  let count = 0;
  endpoint.reply = () => {
    count += 1;
    return count % every === 0 ? { status: 500 } : {};
  };
}

t.test('by the share of successes alone', async (t) => {
  const [, b, c] = low;
  if (b === undefined || c === undefined) throw new Error('endpoints');
  // With so few requests at a time there cannot be as many errors in a row as eject.
  const caller = new Caller(t, port, IN_A_ROW - 1);
  failsOneIn(b, 2);
  failsOneIn(c, 20);
  await caller.many(35, '/low');
  await pause(150); // counts are handed over
  await caller.many(8, '/low');
  t.ok(b.seen.length < 20, `${b.seen.length} requests`);
  t.equal((await proxy.standing('low', b)).state, 'usable', 'so few requests say nothing');
  await until(async () => {
    await caller.many(10, '/low');
    return (await proxy.standing('low', b)).state === 'ejected';
  }, 'who fails every other request is ejected');
  t.ok(b.seen.length >= 20, `after ${b.seen.length} requests`);
  const [, why] = await proxy.running.says(new RegExp(`${b.address} is ejected for \\d+ ms \\((.*?)\\)`));
  t.equal(why, 'success_rate, for the 1. time');

  b.flush();
  const answers = await caller.many(200, '/low');
  t.equal(b.seen.length, 0);
  t.same(Object.keys(shares(answers)).sort(), ['a', 'c', 'd', 'e'], 'the others go on');
  const { endpoints: found } = await proxy.service('low');
  const out = found.filter(({ state }) => state !== 'usable').map(({ address }) => address);
  t.same(out, [b.address], 'one failure in twenty is too few');
});

for (const [share, all] of byShare) {
  const name = `share-${share}`;
  t.test(`at most ${share} % of five endpoints are left out`, async (t) => {
    const [, b, c] = all;
    if (b === undefined || c === undefined) throw new Error('endpoints');
    const caller = new Caller(t, port, 8);
    const ejected = (endpoint: Endpoint): Promise<void> =>
      until(async () => {
        await caller.many(20, `/${name}`);
        return (await proxy.standing(name, endpoint)).state === 'ejected';
      }, `${endpoint.name} is ejected`);
    failsOneIn(b, 2);
    await ejected(b);
    b.flush();
    t.same(tally(await caller.many(60, `/${name}`)), { 200: 60 });
    t.equal(b.seen.length, 0, 'one of five is within the share');
    t.equal((await proxy.service(name)).panic, false);

    failsOneIn(c, 2);
    await ejected(c);
    const panic = share < 40;
    t.equal((await proxy.service(name)).panic, panic);
    t.equal(await proxy.metric('tulle_service_panic', { service: name }), panic ? 1 : 0);
    t.equal(await proxy.event(name, 'panic_began'), panic ? 1 : 0);
    for (const endpoint of [b, c]) endpoint.flush();
    const answers = await caller.many(60, `/${name}`);
    const seen = [b.seen.length, c.seen.length];
    if (panic) t.ok(Math.min(...seen) > 3, `more would be, so both are used again: ${seen}`);
    else {
      t.same(seen, [0, 0], 'two of five are, too');
      t.same(tally(answers), { 200: 60 });
    }
  });
}
