// Every setting of traffic and resilience is changed while requests come: the change is felt, and not one request fails.
// One proxy with four workers takes each change by `apply`, which SIGHUP comes to as well.

import t, { type Test } from 'tap';
import type { ProxyConfig } from '../../src/index.js';
import { freePorts } from '../ports.js';
import { Admin, Caller, Endpoint, shares, tally, until } from './endpoint.js';
import { Load } from './load.js';
import { startProxy } from './rig.js';

type Service = NonNullable<ProxyConfig['services']>[string];
type Rule = NonNullable<NonNullable<ProxyConfig['routes']>[number]['rules']>[number];

/** What is changed. */
interface Change {
  readonly api?: Partial<Service>;
  readonly rule?: Partial<Rule>;
  readonly more?: Partial<ProxyConfig>;
}

/** As it was in the beginning. */
const PLAIN: Change = {};

interface Rig {
  readonly admin: Admin;
  readonly caller: Caller;
  readonly load: Load;
  readonly a: Endpoint;
  readonly b: Endpoint;
  readonly c: Endpoint;
  /** Makes a change, and has the load go on for a while by it. */
  change(change: Change): Promise<void>;
}

async function rig(t: Test): Promise<Rig> {
  const [port = 0, adminPort = 0, ...ports] = await freePorts(5);
  const start = (name: string, index: number): Promise<Endpoint> =>
    Endpoint.start(t, name, ports[index] ?? 0);
  const [a, b, c] = [await start('a', 0), await start('b', 1), await start('c', 2)];
  const config = ({ api, rule, more }: Change): ProxyConfig => ({
    workers: 4,
    listeners: {
      web: { address: `127.0.0.1:${port}` },
      admin: { address: `127.0.0.1:${adminPort}`, admin: true },
    },
    services: {
      api: {
        endpoints: [
          { address: a.address, labels: { version: 'a' } },
          { address: b.address, labels: { version: 'b' } },
        ],
        subsets: { a: { version: 'a' }, b: { version: 'b' } },
        ...api,
      },
      shadow: { endpoints: [c.address] },
    },
    routes: [{ name: 'all', rules: [{ backends: [{ service: 'api' }], ...rule }] }],
    ...more,
  });
  const proxy = await startProxy(t, config({}));
  const admin = new Admin(adminPort);
  const load = await Load.start(t, { to: { port, host: '127.0.0.1' }, pauseMs: 8 });
  const change = async (next: Change): Promise<void> => {
    await proxy.apply(config(next));
    await load.more(120);
  };
  return { admin, caller: new Caller(t, port), load, a, b, c, change };
}

async function weights({ change, caller }: Rig, t: Test): Promise<void> {
  for (const [one, other] of [
    [1, 99],
    [99, 1],
    [0, 1],
    [9_999, 1],
    [1, 0],
  ] as const) {
    const backends = [
      { service: 'api', subset: 'a', weight: one },
      { service: 'api', subset: 'b', weight: other },
    ];
    await change({ rule: { backends } });
    const { a = 0, b = 0 } = shares(await caller.many(100, '/'));
    t.ok(one > other ? a > b : b > a, `${one} to ${other}: ${a} and ${b}`);
  }
}

async function mirror({ change, c }: Rig, t: Test): Promise<void> {
  for (const percent of [100, 25, 0.01, 100]) {
    await change({ rule: { filters: [{ mirror: { service: 'shadow', percent } }] } });
  }
  t.ok(c.flush().length > 0, 'copies come');
  await change(PLAIN);
  c.flush();
  await change(PLAIN);
  t.equal(c.flush().length, 0, 'and do not');
}

async function faults({ change, caller }: Rig, t: Test): Promise<void> {
  const headers = { 'x-chaos': 'yes' };
  const broken = async (status: number): Promise<void> => {
    await change({ rule: { filters: [{ fault: { headers, abort: { status } } }] } });
    t.equal((await caller.ask('/', { headers })).status, status);
  };
  await change({ rule: { filters: [{ fault: { delay: { percent: 50, duration: '5ms' } } }] } });
  await broken(503);
  await change({ rule: { filters: [{ fault: { bandwidth: { bytesPerSecond: '1MiB' } } }] } });
  await broken(418);
  await change(PLAIN);
  t.equal((await caller.ask('/', { headers })).status, 200);
}

async function rateLimits({ change, caller }: Rig, t: Test): Promise<void> {
  const limit = (burst: number, more: object = {}): Rule['filters'] => [
    { rateLimit: { requestsPerSecond: 100_000, burst, ...more } },
  ];
  await change({ rule: { filters: limit(100_000) } });
  await change({ rule: { filters: limit(50_000, { key: { source: true } }) } });
  await change({ rule: { filters: limit(50_000, { key: { header: 'x-user' } }) } });
  await change({ rule: { filters: limit(60_000, { key: { header: 'x-user' }, keys: 10 }) } });
  const matches = [{ path: { exact: '/few' } }];
  const few = { matches, filters: [{ rateLimit: { requestsPerSecond: 1, burst: 2 } }] };
  const backends = [{ service: 'api' }];
  const rules = [{ ...few, backends }, { backends }];
  await change({ more: { routes: [{ name: 'all', rules }] } });
  const { 429: _, '429 rate_limited': refused = 0 } = tally(await caller.many(20, '/few'));
  t.ok(refused >= 10, `${refused} of 20 are refused`);
  await change(PLAIN);
  t.same(tally(await caller.many(20, '/few')), { 200: 20 });
}

async function retries({ change, b }: Rig, t: Test): Promise<void> {
  const on: NonNullable<Rule['retry']>['on'] = ['connect-failure', 'reset', 503];
  const retry = { attempts: 3, on, backoff: { base: '1ms' }, budget: { percent: 100, minPerSecond: 10_000 } };
  await change({ rule: { retry } });
  let count = 0;
  b.reply = () => {
    count += 1;
    return count % 3 === 0 ? { status: 503 } : {};
  };
  await change({ rule: { retry: { ...retry, attempts: 5 } } });
  await change({ rule: { retry, timeouts: { request: '10s', perTry: '5s' } } });
  await change({ rule: { retry: { ...retry, backoff: { base: '0ms' } } } });
  t.ok(count > 10, 'there is something to retry');
  b.reply = () => ({});
  await change({ rule: { retry: { ...retry, hedge: {} } } });
  await change({ rule: { retry: { attempts: 0 } } });
  await change(PLAIN);
}

async function balancing({ change, caller }: Rig, t: Test): Promise<void> {
  for (const policy of ['round-robin', 'random', 'least-request', 'peak-ewma'] as const) {
    await change({ api: { loadBalancing: { policy } } });
  }
  for (const policy of ['ring-hash', 'maglev'] as const) {
    await change({ api: { loadBalancing: { policy, key: { header: 'x-user' } } } });
    const answers = await caller.many(20, '/', { headers: { 'x-user': 'one' } });
    t.equal(Object.keys(shares(answers)).length, 1, `${policy}: one key, one endpoint`);
    await change({ api: { loadBalancing: { policy, key: { path: true } } } });
  }
  await change({ api: { loadBalancing: { affinity: { cookie: 'stay' } } } });
  t.match((await caller.ask('/')).headers['set-cookie'], [/^stay=/]);
  await change({ api: { loadBalancing: { preferZone: true, slowStart: '1s' } }, more: { zone: 'z' } });
  await change(PLAIN);
  t.equal((await caller.ask('/')).headers['set-cookie'], undefined);
}

async function health({ change, admin, a, b }: Rig, t: Test): Promise<void> {
  const every = { interval: '50ms', timeout: '2s' };
  await change({ api: { healthCheck: { http: { path: '/healthz' }, ...every } } });
  await until(() => a.checks > 2 && b.checks > 2, 'both are asked');
  b.health = { status: 500 };
  await admin.stands('api', b, 'unhealthy');
  await change({ api: { healthCheck: { http: { path: '/healthz' }, ...every, healthyAfter: 1 } } });
  await change({ api: { healthCheck: { tcp: true, ...every } } });
  await admin.stands('api', b, 'usable');
  b.health = {};
  await change(PLAIN);
  a.checks = 0;
  await change(PLAIN);
  t.ok(a.checks <= 1, 'nobody is asked any more');
  await admin.stands('api', b, 'usable');
}

async function outliers({ change, admin, b }: Rig, t: Test): Promise<void> {
  const retry: Rule['retry'] = { attempts: 3, on: [503], budget: { percent: 100, minPerSecond: 10_000 } };
  const detect = (
    outlierDetection: Service['outlierDetection'],
    more: Partial<Service> = {},
  ): Promise<void> =>
    change({ api: { outlierDetection, loadBalancing: { policy: 'round-robin' }, ...more }, rule: { retry } });
  const long = { consecutiveErrors: 3, successRate: 'off', baseEjection: '60s' } as const;
  await detect(long);
  b.reply = () => ({ status: 503 });
  await admin.stands('api', b, 'ejected');
  await detect({ ...long, maxEjectedPercent: 60, successRate: { percent: 90 } });
  t.equal((await admin.standing('api', b)).state, 'ejected');
  b.reply = () => ({});
  b.flush();
  await detect(long, { endpoints: [b.address], subsets: {} });
  t.equal((await admin.service('api')).panic, true, 'who is left is used, ejected or not');
  await detect(long);
  t.equal((await admin.service('api')).panic, false);
  b.flush();
  await change({ api: { loadBalancing: { policy: 'round-robin' } }, rule: { retry } });
  t.equal((await admin.standing('api', b)).state, 'usable', 'nobody ejects any more');
  t.ok(b.flush().length > 10, 'and it is used');
  await change(PLAIN);
}

async function limits({ change, a, b }: Rig, t: Test): Promise<void> {
  const wait = { queueTimeout: '20s', pending: 1_000 };
  await change({ api: { limits: { requests: 6, ...wait } } });
  a.flush();
  b.flush();
  await change({ api: { limits: { requests: 6, ...wait } } });
  t.ok(a.most + b.most <= 6, `${a.most} and ${b.most} at a time`);
  await change({ api: { limits: { requests: 100, ...wait } } });
  await change({ api: { limits: { connections: 8, ...wait } } });
  await change({ api: { limits: { endpoint: { requests: 4 }, ...wait } } });
  await change({ api: { limits: { endpoint: { connections: 6 }, ...wait } } });
  await change({ api: { limits: { adaptive: { min: 64, max: 512 } } } });
  await change({ api: { limits: { retries: 1 } } });
  await change(PLAIN);
}

async function endpoints({ change, admin, a, b, c }: Rig, t: Test): Promise<void> {
  const api = (...listed: NonNullable<Service['endpoints']>): Change => ({
    api: { endpoints: listed, subsets: {} },
  });
  await change(api(b.address));
  await change(api(b.address));
  a.flush();
  await change(api(b.address));
  t.equal(a.flush().length, 0, 'an endpoint that is gone gets nothing');
  a.close();
  await change(api(b.address, c.address));
  await a.listen();
  await change(api(c.address, a.address, { address: b.address, weight: 0 }));
  t.equal((await admin.standing('api', b)).state, 'draining');
  b.flush();
  await change(api(a.address, c.address, { address: b.address, weight: 0 }));
  t.equal(b.flush().length, 0, 'nor does one that drains');
  await change(api({ address: a.address, weight: 3 }, b.address));
  await change(PLAIN);
}

t.test('each setting under load', async (t) => {
  const found = await rig(t);
  for (const part of [
    ...[weights, mirror, faults, rateLimits, retries, balancing],
    ...[health, outliers, limits, endpoints],
  ]) {
    await t.test(part.name, (t) => part(found, t));
  }
  const { failures, answered } = await found.load.stop();
  t.same(failures, []);
  t.ok(answered > 4_000, `${answered} answers`);
});
