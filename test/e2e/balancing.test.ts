// Where requests go: by cookie, by key, by weight, by zone, and what that comes to when endpoints move, drain and fail.
// Proxies are processes of their own, with two workers.

import t, { type Test } from 'tap';
import type { ProxyConfig } from '../../src/index.js';
import { freePorts } from '../ports.js';
import { Caller, Endpoint, Proxied, shares, spread, tally, until } from './endpoint.js';

type Services = NonNullable<ProxyConfig['services']>;
type Listed = Services[string]['endpoints'];
type Rules = NonNullable<NonNullable<ProxyConfig['routes']>[number]['rules']>;

interface Rig {
  readonly proxy: Proxied;
  readonly caller: Caller;
  readonly all: readonly [Endpoint, Endpoint, Endpoint];
  /** Has the proxy take these services and rules. */
  serve(services: Services, rules: Rules): Promise<void>;
}

async function rig(t: Test): Promise<Rig> {
  const [port = 0, admin = 0, ...ports] = await freePorts(5);
  const start = (name: string, index: number): Promise<Endpoint> =>
    Endpoint.start(t, name, ports[index] ?? 0);
  const all = [await start('a', 0), await start('b', 1), await start('c', 2)] as const;
  const config = (services: Services, rules: Rules): ProxyConfig => ({
    workers: 2,
    zone: 'home',
    listeners: {
      web: { address: `127.0.0.1:${port}` },
      admin: { address: `127.0.0.1:${admin}`, admin: true },
    },
    services,
    routes: [{ name: 'all', rules }],
  });
  const first = config({ all: { endpoints: [] } }, [{ backends: [{ service: 'all' }] }]);
  const proxy = await Proxied.start(t, first, { admin });
  const serve = (services: Services, rules: Rules): Promise<void> => proxy.reload(config(services, rules));
  return { proxy, caller: new Caller(t, port), all, serve };
}

t.jobs = 3;

const TO_ALL: Rules = [{ backends: [{ service: 'all' }] }];

function listed(...endpoints: (Endpoint | [Endpoint, object])[]): Listed {
  return endpoints.map((entry) =>
    Array.isArray(entry) ? { address: entry[0].address, ...entry[1] } : { address: entry.address },
  );
}

t.test('a service without endpoints answers at once', async (t) => {
  const { caller } = await rig(t);
  const answers = await caller.many(50, '/');
  t.same(tally(answers), { '503 no_endpoint': 50 });
  t.ok(answers.every(({ ms }) => ms < 1_000));
});

t.test('an affinity cookie', async (t) => {
  const { proxy, caller, all, serve } = await rig(t);
  const [a, b, c] = all;
  const service = (endpoints: Listed): Services => ({
    all: {
      endpoints,
      loadBalancing: { policy: 'round-robin', affinity: { cookie: 'stay', maxAge: '90s' }, slowStart: '0s' },
    },
  });
  await serve(service(listed(a, b, c)), TO_ALL);
  const cookies = new Map<string, string>();
  for (let round = 0; cookies.size < 3; round += 1) {
    const { body, headers } = await caller.ask('/', { headers: { cookie: 'other=1' } });
    const [line = ''] = headers['set-cookie'] ?? [];
    t.match(line, /^stay=[0-9a-f]{16}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=90$/);
    const [pair = ''] = line.split(';');
    t.equal(cookies.get(body) ?? pair, pair, 'an endpoint has one value');
    cookies.set(body, pair);
    if (round > 200) throw new Error('not every endpoint is picked');
  }
  const stays = async (names: readonly string[], why: string): Promise<void> => {
    for (const name of names) {
      const cookie = `x=y; ${cookies.get(name)}; z`;
      const answers = await caller.many(30, '/', { headers: { cookie } });
      t.same(shares(answers), { [name]: 30 }, `${name}: ${why}`);
      t.ok(
        answers.every(({ headers }) => headers['set-cookie'] === undefined),
        `${name}: no new cookie`,
      );
    }
  };
  await stays(['a', 'b', 'c'], 'the cookie decides');
  await serve(service(listed(c, a, b)), TO_ALL);
  await stays(['a', 'b', 'c'], 'over a change of order');
  await serve(service(listed([b, { weight: 0 }], c, a)), TO_ALL);
  t.equal((await proxy.standing('all', b)).state, 'draining');
  await stays(['a', 'b', 'c'], 'where one drains');
  const fresh = await caller.many(60, '/');
  t.same(Object.keys(shares(fresh)).sort(), ['a', 'c'], 'new clients do not go where it drains');
  b.close();
  const moved = await caller.ask('/', { headers: { cookie: cookies.get('b') } });
  t.equal(moved.status, 200, 'its endpoint is gone');
  t.match(moved.headers['set-cookie']?.[0], new RegExp(`^${cookies.get(moved.body)};`), 'it gets another');
  t.ok((await proxy.event('all', 'affinity_lost')) >= 1);
  await serve(service(listed(c, a)), TO_ALL);
  const lost = await proxy.event('all', 'affinity_lost');
  const gone = await caller.ask('/', { headers: { cookie: cookies.get('b') } });
  t.match(gone.headers['set-cookie']?.[0], new RegExp(`^${cookies.get(gone.body)};`));
  t.equal(await proxy.event('all', 'affinity_lost'), lost + 1, 'it is not in the configuration any more');
  for (const cookie of ['stay=0123456789abcdef', 'stay=rubbish', `${cookies.get('b')}0`, 'stay=', 'x=y']) {
    t.ok((await caller.ask('/', { headers: { cookie } })).headers['set-cookie'], `${cookie}: a new one`);
  }
  t.equal(await proxy.event('all', 'affinity_lost'), lost + 1, 'nobody had those');
});

t.test('a session stays with an endpoint that is full, or fails, for a moment', async (t) => {
  const { proxy, caller, all, serve } = await rig(t);
  const [a, b] = all;
  for (const endpoint of [{ connections: 1 }, { requests: 1 }]) {
    const limits = { endpoint };
    const loadBalancing = { policy: 'round-robin', affinity: { cookie: 'stay' }, slowStart: '0s' } as const;
    const outlierDetection = { consecutiveErrors: 3, successRate: 'off', baseEjection: '60s' } as const;
    const retry = { attempts: 1, on: [503], backoff: { base: '0ms' } };
    await serve({ all: { endpoints: listed(a), loadBalancing, limits } }, TO_ALL);
    const { headers: given } = await caller.ask('/');
    const cookie = given['set-cookie']?.[0]?.split(';')[0] ?? '';
    await serve({ all: { endpoints: listed(a, b), loadBalancing, limits, outlierDetection } }, [
      { retry, backends: [{ service: 'all' }] },
    ]);
    const ask = () => caller.ask('/', { headers: { cookie } });
    const mine = async (why: string): Promise<void> => {
      const { body, headers } = await ask();
      t.same([body, headers['set-cookie']], ['a', undefined], why);
    };
    const lost = await proxy.event('all', 'affinity_lost');
    await mine('at first');
    let free = (): void => {};
    const freed = new Promise<void>((resolve) => {
      free = resolve;
    });
    a.before = () => freed;
    const first = ask();
    await until(() => a.open === 1, 'a is full');
    const elsewhere = await ask();
    t.same([elsewhere.body, elsewhere.headers['set-cookie']], ['b', undefined], 'full');
    a.before = async () => {};
    free();
    t.equal((await first).body, 'a');
    await mine('there is room again');
    // Where b has no connection to spare for this worker, a retry goes where it failed.
    if (endpoint.requests === undefined) continue;
    a.reply = () => ({ status: 503 });
    const once = await ask();
    t.same([once.body, once.headers['set-cookie']], ['b', undefined], 'failed once');
    a.reply = () => ({});
    await mine('it is well');
    t.equal(await proxy.event('all', 'affinity_lost'), lost);
    a.reply = () => ({ status: 503 });
    for (let errors = 0; errors < 3; errors += 1) await ask();
    await proxy.stands('all', a, 'ejected');
    a.reply = () => ({});
    const moved = await ask();
    t.match([moved.body, moved.headers['set-cookie']?.length], ['b', 1], 'an ejected one loses it');
  }
});

for (const policy of ['ring-hash', 'maglev'] as const) {
  t.test(policy, async (t) => {
    const { caller, all, serve } = await rig(t);
    const [a, b, c] = all;
    const service = (endpoints: Listed): Services => ({
      all: { endpoints, loadBalancing: { policy, key: { header: 'x-user' }, slowStart: '0s' } },
    });
    const users = Array.from({ length: 90 }, (_, index) => `user-${index}`);
    const places = async (): Promise<Map<string, string>> => {
      const found = new Map<string, string>();
      const ask = async (user: string): Promise<void> => {
        const { status, body } = await caller.ask('/', { headers: { 'x-user': user } });
        found.set(user, status === 200 ? body : String(status));
      };
      await Promise.all(users.map(ask));
      return found;
    };
    await serve(service(listed(a, b, c)), TO_ALL);
    const before = await places();
    t.same(new Set(before.values()), new Set(['a', 'b', 'c']), 'all have some');
    t.same(await places(), before, 'a key has one endpoint, whichever worker picks');
    await serve(service(listed(c, b, a)), TO_ALL);
    t.same(await places(), before, 'over a change of order');
    await serve(service(listed(a, c)), TO_ALL);
    const without = await places();
    const moved = users.filter((user) => before.get(user) !== 'b' && before.get(user) !== without.get(user));
    t.ok(moved.length < 20, `${moved.length} keys move that did not have to`);
    await serve(service(listed(a, b, c)), TO_ALL);
    t.same(await places(), before, 'and back');
  });
}

t.test('splits: sticky, by cookie, by 0.01 %, with a fallback', async (t) => {
  const { caller, all, serve } = await rig(t);
  const [a, b, c] = all;
  const services: Services = {
    all: {
      endpoints: listed([a, { labels: { version: 'v1' } }], [b, { labels: { version: 'v2' } }]),
      subsets: { v1: { version: 'v1' }, v2: { version: 'v2' }, none: { version: 'v3' } },
    },
    other: { endpoints: listed(c) },
  };
  const at = (prefix: string) => ({ matches: [{ path: { prefix } }] });
  const v1 = { service: 'all', subset: 'v1' };
  const v2 = { service: 'all', subset: 'v2' };
  const none = { service: 'all', subset: 'none' };
  const rules = (weight: number): Rules => [
    {
      ...at('/sticky'),
      sticky: { header: 'x-user' },
      backends: [
        { ...v1, weight: 100 - weight },
        { ...v2, weight },
      ],
    },
    {
      ...at('/fallback'),
      backends: [
        { ...none, weight: 90, fallback: true },
        { ...v1, weight: 10 },
      ],
    },
    {
      ...at('/none'),
      backends: [
        { ...none, weight: 50 },
        { ...v1, weight: 50 },
      ],
    },
    {
      ...at('/tiny'),
      backends: [
        { ...v1, weight: 9_999 },
        { ...v2, weight: 1 },
      ],
    },
    { matches: [{ path: { prefix: '/cookie' }, cookies: { preview: 'yes' } }], backends: [v2] },
    { ...at('/cookie'), backends: [v1] },
    { backends: [{ service: 'other' }] },
  ];
  await serve(services, rules(30));
  const users = Array.from({ length: 300 }, (_, index) => `user-${index}`);
  const canaries = async (): Promise<Set<string>> => {
    const found = new Set<string>();
    const answers = await Promise.all(
      users.map((user) => caller.ask('/sticky', { headers: { 'x-user': user } })),
    );
    for (const [index, { body }] of answers.entries()) if (body === 'b') found.add(users[index] ?? '');
    return found;
  };
  const some = await canaries();
  t.ok(Math.abs(some.size - 90) < spread(300, 0.3), `${some.size} of 300 at 30 %`);
  t.same(await canaries(), some, 'a user stays');
  await serve(services, rules(60));
  const more = await canaries();
  t.ok(Math.abs(more.size - 180) < spread(300, 0.6), `${more.size} of 300 at 60 %`);
  t.same(
    [...some].filter((user) => !more.has(user)),
    [],
    'who was in stays in when the share grows',
  );

  t.same(shares(await caller.many(100, '/fallback')), { a: 100 }, 'the weight moves where it may');
  const split = tally(await caller.many(400, '/none'));
  t.same(Object.keys(split).sort(), ['200', '503 no_endpoint'], 'and does not where it may not');
  t.ok(Math.abs((split['200'] ?? 0) - 200) < spread(400, 0.5), JSON.stringify(split));
  const tiny = shares(await caller.many(1_000, '/tiny'));
  t.ok((tiny.b ?? 0) <= 5, `${tiny.b ?? 0} of 1,000 at 0.01 %`);
  const with_ = (cookie: string) => caller.ask('/cookie', { headers: { cookie } });
  for (const cookie of ['preview=yes', 'a=b; preview=yes', 'a=b;preview=yes; c=d']) {
    t.equal((await with_(cookie)).body, 'b', cookie);
  }
  for (const cookie of ['preview=no', 'xpreview=yes', 'preview=yes1', 'Preview=yes', '']) {
    t.equal((await with_(cookie)).body, 'a', cookie);
  }
});

t.test('the own zone comes first, as long as it can', async (t) => {
  const { proxy, caller, all, serve } = await rig(t);
  const [a, b, c] = all;
  const service = (more: object): Services => ({
    all: {
      endpoints: listed([a, { zone: 'home' }], [b, { zone: 'home' }], [c, { zone: 'away' }]),
      loadBalancing: { policy: 'round-robin', preferZone: true, slowStart: '0s' },
      healthCheck: { http: { path: '/healthz' }, interval: '100ms', timeout: '5s', unhealthyAfter: 2 },
      ...more,
    },
  });
  await serve(service({}), TO_ALL);
  const home = shares(await caller.many(400, '/'));
  t.ok((home.c ?? 0) < 80, `${home.c ?? 0} of 400 go elsewhere`);
  for (const endpoint of [a, b]) endpoint.health = { status: 500 };
  for (const endpoint of [a, b]) await proxy.stands('all', endpoint, 'unhealthy');
  t.same(shares(await caller.many(60, '/')), { c: 60 }, 'nobody is left at home');
  for (const endpoint of [a, b]) endpoint.health = {};
  for (const endpoint of [a, b]) await proxy.stands('all', endpoint, 'usable');
  const back = shares(await caller.many(400, '/'));
  t.ok((back.c ?? 0) < 80, `${back.c ?? 0} of 400 go elsewhere`);
});

t.test('weights: of endpoints and by label', async (t) => {
  const { caller, all, serve } = await rig(t);
  const [a, b, c] = all;
  for (const policy of ['round-robin', 'random'] as const) {
    await serve(
      {
        all: {
          endpoints: listed([a, { labels: { size: 'large' } }], [b, { weight: 2 }], c),
          loadBalancing: { policy, weights: [{ labels: { size: 'large' }, weight: 3 }], slowStart: '0s' },
        },
      },
      TO_ALL,
    );
    const count = 1_200;
    const found = shares(await caller.many(count, '/'));
    for (const [name, share] of [
      ['a', 3 / 6],
      ['b', 2 / 6],
      ['c', 1 / 6],
    ] as const) {
      const off = Math.abs((found[name] ?? 0) - count * share);
      // By turns: each worker has turns of its own.
      const bound = policy === 'random' ? spread(count, share) : 12;
      t.ok(off <= bound, `${policy}: ${name} is off by ${off} of ${count}, at most ${bound}`);
    }
  }
});

t.test('a slow endpoint gets less', async (t) => {
  const { caller, all, serve } = await rig(t);
  const [, b] = all;
  b.reply = () => ({ afterMs: 60 });
  for (const policy of ['peak-ewma', 'least-request'] as const) {
    await serve({ all: { endpoints: listed(...all), loadBalancing: { policy, slowStart: '0s' } } }, TO_ALL);
    const { b: few = 0, ...others } = shares(await caller.many(600, '/'));
    t.ok(few < 120, `${policy}: ${few} of 600 go to the slow one`);
    t.ok(
      Object.values(others).every((count) => count > 150),
      `${policy}: ${JSON.stringify(others)}`,
    );
  }
});
