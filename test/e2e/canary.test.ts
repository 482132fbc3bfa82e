// examples/canary.yaml as it is, but for its ports, with one worker and with four: each of its routes, and how the
// service stands while its endpoints fail. All numbers are the process's, however many workers it has.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { freePorts } from '../ports.js';
import { root } from '../process.js';
import { Caller, Endpoint, Proxied, type Seen, shares, spread, tally, until } from './endpoint.js';

interface Rig {
  readonly proxy: Proxied;
  readonly caller: Caller;
  readonly v1: Endpoint;
  readonly v2: Endpoint;
  readonly shadow: Endpoint;
}

async function rig(t: Test, workers: number): Promise<Rig> {
  const [web = 0, admin = 0, ...upstreams] = await freePorts(5);
  const fixed = [18081, 18901, 19001, 19002, 19003];
  let text = `workers: ${workers}\n${readFileSync(path.join(root, 'examples', 'canary.yaml'), 'utf8')}`;
  for (const [index, port] of [web, admin, ...upstreams].entries()) {
    text = text.replaceAll(`:${fixed[index]}`, `:${port}`);
  }
  const start = (name: string, index: number): Promise<Endpoint> =>
    Endpoint.start(t, name, upstreams[index] ?? 0);
  const [v1, v2, shadow] = [await start('v1', 0), await start('v2', 1), await start('shadow', 2)];
  const proxy = await Proxied.start(t, text, { admin });
  return { proxy, caller: new Caller(t, web, 8), v1, v2, shadow };
}

/** Everything answers as it should again, and the proxy knows it. */
async function recover({ proxy, caller, v1, v2, shadow }: Rig): Promise<void> {
  for (const endpoint of [v1, v2, shadow]) {
    endpoint.reply = () => ({});
    endpoint.health = {};
  }
  await until(async () => {
    await caller.many(16, '/');
    const { endpoints, panic } = await proxy.service('reviews');
    return !panic && endpoints.every(({ state }) => state === 'usable');
  }, 'all endpoints are used again');
  for (const endpoint of [v1, v2, shadow]) endpoint.flush();
}

async function canary(t: Test, { caller, v1, v2 }: Rig): Promise<void> {
  const count = 2_500;
  const answers = await caller.many(count, '/canary/x');
  t.same(tally(answers), { 200: count });
  const { v2: canaries = 0 } = shares(answers);
  const bound = spread(count, 0.05);
  t.ok(Math.abs(canaries - count * 0.05) < bound, `${canaries} of ${count} within ${bound}`);
  t.equal(v2.flush().length, canaries);
  t.equal(v1.flush().length, count - canaries);
}

async function mirrored(t: Test, { proxy, caller, v1, shadow }: Rig): Promise<void> {
  const bodies = ['', 'x', 'y'.repeat(10_000), 'z'.repeat(60_000)];
  const asked: string[] = [];
  for (const body of bodies) {
    for (const method of body === '' ? ['GET', 'DELETE', 'HEAD'] : ['POST', 'PUT']) {
      const target = `/mirrored/${method}/${body.length}?q`;
      asked.push(`${method} ${target} ${body.slice(0, 1)}${body.length}`);
      const headers = { 'content-length': body.length, 'x-own': 'kept' };
      const { status, headers: got } = await caller.ask(target, { method, body, headers });
      t.equal(status, 200, `${method} with ${body.length} bytes`);
      t.equal(got['x-tulle-mirrored'], undefined);
    }
  }
  await caller.ask('/mirrored/chunked', {
    method: 'POST',
    headers: { 'transfer-encoding': 'chunked' },
    body: 'abc',
  });
  asked.push('POST /mirrored/chunked a3');
  await until(() => shadow.seen.length >= asked.length, `${asked.length} copies`);
  await pause(50);
  const told = ({ method, url, body }: Seen): string => `${method} ${url} ${body.slice(0, 1)}${body.length}`;
  const copies = shadow.flush();
  t.same(copies.map(told).sort(), [...asked].sort(), 'each request comes once, whole');
  for (const { headers } of copies) {
    t.match(headers, { 'x-tulle-mirrored': 'true' }, 'copies are marked');
  }
  const originals = v1.flush();
  t.same(originals.map(told).sort(), [...asked].sort());
  t.ok(
    originals.every(({ headers }) => headers['x-tulle-mirrored'] === undefined),
    'originals are not',
  );
  t.ok(copies.every(({ headers }) => headers['x-own'] === undefined || headers['x-own'] === 'kept'));
  t.equal(await proxy.event('shadow', 'copy_sent'), asked.length);

  for (const [name, prepare] of [
    [
      'fails',
      () => {
        shadow.reply = () => ({ status: 500 });
      },
    ],
    [
      'resets',
      () => {
        shadow.reply = () => 'reset';
      },
    ],
    [
      'is slow',
      () => {
        shadow.reply = () => 'hang';
      },
    ],
    ['is dead', () => shadow.close()],
  ] as const) {
    prepare();
    const answers = await caller.many(400, '/mirrored/x', { method: 'POST', body: 'body' });
    t.same(tally(answers), { 200: 400 }, `no request fails where the shadow ${name}`);
    const late = answers.filter(({ ms }) => ms > 2_000);
    t.equal(late.length, 0, `no request waits where the shadow ${name}`);
    t.equal(v1.flush().length, 400, `nothing comes twice where the shadow ${name}`);
  }
  t.ok((await proxy.event('shadow', 'copy_dropped')) > 0, 'copies are bounded');
  await shadow.listen();
}

async function slow(t: Test, { caller }: Rig): Promise<void> {
  const answers = await caller.many(12, '/slow');
  t.same(tally(answers), { 200: 12 });
  const times = answers.map(({ ms }) => ms);
  t.ok(Math.min(...times) >= 300, `at least 300 ms: ${Math.min(...times)}`);
  t.ok(Math.max(...times) < 3_000, `not much more: ${Math.max(...times)}`);
}

async function broken(t: Test, { proxy, caller, v1, v2 }: Rig): Promise<void> {
  const count = 600;
  v1.flush();
  const answers = await caller.many(count, '/broken');
  const { 200: good = 0, '503 fault': bad = 0, ...others } = tally(answers);
  t.same(others, {}, 'nothing else');
  t.ok(Math.abs(bad - count / 2) < spread(count, 0.5), `${bad} of ${count}`);
  t.equal(v1.flush().length, good, 'the upstream sees the rest only');
  t.equal(v2.flush().length, 0);
  for (const endpoint of [v1, v2]) {
    t.equal(
      (await proxy.standing('reviews', endpoint)).state,
      'usable',
      'no fault counts against an endpoint',
    );
  }
}

async function limited(t: Test, { caller, v1 }: Rig): Promise<void> {
  /** So many pass at once from rest, and ten per second after that. */
  const burst = async (name: string, wanted: (index: number) => Record<string, string>): Promise<void> => {
    const began = performance.now();
    const answers = await caller.many(32, '/limited', (index) => ({ headers: wanted(index) }));
    const more = Math.ceil((performance.now() - began) / 100);
    const { 200: passed = 0, '429 rate_limited': refused = 0, ...others } = tally(answers);
    t.same(others, {}, `${name}: nothing else`);
    t.ok(passed >= 5 && passed <= 5 + more, `${name}: ${passed} pass, of which ${more} by waiting at most`);
    t.equal(passed + refused, 32);
    t.equal(v1.flush().length, passed, `${name}: the upstream sees what passes`);
    const told = answers
      .filter(({ status }) => status === 429)
      .map(({ headers }) => [
        headers['retry-after'],
        headers['ratelimit-remaining'],
        headers['ratelimit-reset'],
        /^[1-9]\d*$/.test(String(headers['ratelimit-limit'])),
      ]);
    t.same(new Set(told.map(String)), new Set(['1,0,1,true']), `${name}: what is told`);
  };
  await burst('one user', () => ({ 'x-user': 'a' }));
  await burst('another one', () => ({ 'x-user': 'b' }));
  await burst('without the header', () => ({}));
  const many = await caller.many(64, '/limited', (index) => ({ headers: { 'x-user': `user-${index}` } }));
  t.same(tally(many), { 200: 64 }, 'each user has a limit of its own');
  await until(
    async () => (await caller.ask('/limited', { headers: { 'x-user': 'a' } })).status === 200,
    'the limit lets through again',
  );
  v1.flush();
}

async function retried(t: Test, rig: Rig): Promise<void> {
  const { caller, v1, v2 } = rig;
  const both = [v1, v2];
  /** What came to either, in order; the first one is treated like this. */
  const first = (reply: ReturnType<Endpoint['reply']>): void => {
    let begun = false;
    for (const endpoint of both) {
      endpoint.flush();
      endpoint.reply = () => {
        const treated = begun ? {} : reply;
        begun = true;
        return treated;
      };
    }
  };
  const tries = (): { at: number; on: string; attempt: unknown }[] =>
    both
      .flatMap(({ name, seen }) =>
        seen.map(({ at, headers }) => ({ at, on: name, attempt: headers['x-tulle-attempt'] })),
      )
      .sort((a, b) => a.at - b.at);
  const once = async (name: string, reply: ReturnType<Endpoint['reply']>): Promise<number> => {
    first(reply);
    const { status, ms } = await caller.ask('/retried', { headers: { 'x-tulle-attempt': '7' } });
    t.equal(status, 200, name);
    const [one, two, ...more] = tries();
    t.same(more, [], `${name}: two tries`);
    t.not(one?.on, two?.on, `${name}: on another endpoint`);
    t.equal(two?.attempt, '2', `${name}: the second says so`);
    return ms;
  };
  for (let round = 0; round < 5; round += 1) await once('a 503', { status: 503 });
  // On a connection that was kept, a reset may mean that it was just closing: the first try counts again then.
  first('reset');
  t.equal((await caller.ask('/retried')).status, 200, 'a reset');
  t.equal(tries().length, 2, 'a reset: two tries');
  const ms = await once('nothing within 200 ms', 'hang');
  t.ok(ms >= 200 && ms < 2_000, `${ms} ms`);
  first({ status: 500 });
  t.equal((await caller.ask('/retried')).status, 500, 'a 500 is not named');
  await recover(rig);

  const post = { method: 'POST', body: 'once' };
  for (const [name, reply, status] of [
    ['a 503', { status: 503 }, 503],
    ['a reset', 'reset', 502],
    ['nothing within 200 ms', 'hang', 504],
  ] as const) {
    first(reply);
    t.equal((await caller.ask('/retried', post)).status, status, `POST, ${name}`);
    t.equal(tries().length, 1, `POST, ${name}: it may have been seen`);
    first(reply);
    const again = await caller.ask('/retried', { ...post, headers: { 'idempotency-key': 'k' } });
    t.equal(again.status, 200, `POST with a key, ${name}`);
    t.equal(tries().length, 2);
    t.ok(
      both.every(({ seen }) => seen.every(({ body }) => body === 'once')),
      'the body comes again',
    );
    await recover(rig);
  }

  for (const endpoint of both) endpoint.reply = () => 'hang';
  const hanging = await caller.ask('/retried');
  t.match(hanging, { status: 504, headers: { 'x-tulle-reason': 'per_try_timeout' } });
  t.same(
    tries().map(({ attempt }) => attempt),
    [undefined, '2', '3', '4'],
    'three retries',
  );
  t.ok(hanging.ms >= 800 && hanging.ms < 2_500, `${hanging.ms} ms`);
  await recover(rig);

  v1.close();
  const unreachable = await caller.many(50, '/retried', post);
  t.same(tally(unreachable), { 200: 50 }, 'what was never sent is sent elsewhere, POST as well');
  await v1.listen();
  await recover(rig);
}

async function budget(t: Test, rig: Rig): Promise<void> {
  const { proxy, caller, v1, v2 } = rig;
  for (const endpoint of [v1, v2]) endpoint.reply = () => ({ status: 503 });
  const before = await proxy.metric('tulle_retries_total', { service: 'reviews' });
  const began = performance.now();
  const count = 1_500;
  const answers = await caller.many(count, '/retried');
  const seconds = (performance.now() - began) / 1000;
  // On a busy machine, an endpoint may take longer than an attempt may.
  const { 503: own = 0, '504 per_try_timeout': late = 0, ...others } = tally(answers);
  t.same(others, {}, 'the endpoints’ own answers, none of ours');
  t.ok(own + late === count && late <= count / 50, `${own} answers, and ${late} that came late`);
  const tries = v1.flush().length + v2.flush().length;
  // A fifth of the requests, those of the tests before included, and ten for each second of a window.
  const most = 0.2 * (count + 100) + 10 * (10 + seconds);
  t.ok(tries - count <= most, `${tries - count} retries of ${count} requests, at most ${most}`);
  t.ok(tries - count >= 50, `${tries - count} retries: the budget is there to be used`);
  const counted = (await proxy.metric('tulle_retries_total', { service: 'reviews' })) - before;
  // What was given up before the endpoint read it is not among its tries.
  t.ok(Math.abs(counted - (tries - count)) <= 4 * late, `${counted} are counted, ${late} came late`);
  t.ok((await proxy.event('reviews', 'retry_budget_spent')) > 0);

  t.equal((await proxy.service('reviews')).panic, true, 'both would be ejected: panic');
  t.equal(await proxy.metric('tulle_service_panic', { service: 'reviews' }), 1);
  t.ok((await proxy.event('reviews', 'panic_began')) >= 1);
  await proxy.running.says(/more than it allows, so all are used/);
  await caller.many(100, '/');
  for (const endpoint of [v1, v2]) t.ok(endpoint.flush().length > 0, `${endpoint.name} is used all the same`);
  await recover(rig);
  t.equal(await proxy.metric('tulle_service_panic', { service: 'reviews' }), 0);
  t.equal(await proxy.event('reviews', 'panic_ended'), await proxy.event('reviews', 'panic_began'));
}

async function ejection(t: Test, { proxy, caller, v1, v2 }: Rig): Promise<void> {
  const ejections = await proxy.event('reviews', 'ejected');
  v2.reply = () => ({ status: 500 });
  await until(async () => {
    await caller.many(50, '/canary');
    return (await proxy.standing('reviews', v2)).state === 'ejected';
  }, 'five errors in a row eject');
  t.equal(await proxy.event('reviews', 'ejected'), ejections + 1);
  t.equal((await proxy.service('reviews')).panic, false, 'one of two is what may be');
  t.equal(await proxy.metric('tulle_endpoints', { service: 'reviews', state: 'ejected' }), 1);
  v2.flush();
  const answers = await caller.many(200, '/canary');
  const { 200: good = 0, 500: probed = 0, '503 no_endpoint': refused = 0, ...others } = tally(answers);
  t.same(others, {});
  t.ok(refused > 0 && probed <= 1, 'the subset’s share fails at once, and goes nowhere else');
  t.ok(good > 150);
  t.ok(answers.every(({ ms }) => ms < 1_000));
  const probes = async (count: number): Promise<number> => {
    await until(async () => {
      await caller.many(4, '/');
      return v2.seen.length >= count;
    }, `probe ${count}`);
    return v2.seen[count - 1]?.at ?? 0;
  };
  const one = await probes(1);
  v2.reply = () => ({});
  const two = await probes(2);
  await proxy.stands('reviews', v2, 'usable');
  const said = async (pattern: RegExp): Promise<number> => Number((await proxy.running.says(pattern))[1]);
  const first = await said(/ is ejected for (\d+) ms \(consecutive_errors, for the 1\. time/);
  t.ok(first >= 900 && first <= 1_100, `ejected for ${first} ms`);
  const second = await said(/ failed its probe and is ejected for (\d+) ms/);
  t.ok(second >= 1_800 && second <= 2_200, `then for ${second} ms`);
  t.ok(two - one > 1_700 && two - one < 22_000, `in which nothing came for ${two - one} ms`);
  t.equal(await proxy.event('reviews', 'ejected'), ejections + 2);
  t.ok((await proxy.event('reviews', 'readmitted')) >= 1);
  await until(async () => {
    await caller.many(50, '/canary');
    return v2.seen.length > 4;
  }, 'it gets its share again');
  v1.flush();
  v2.flush();
}

async function health(t: Test, rig: Rig): Promise<void> {
  const { proxy, caller, v1, v2 } = rig;
  v1.health = { status: 500 };
  const began = performance.now();
  await proxy.stands('reviews', v1, 'unhealthy');
  const took = performance.now() - began;
  t.ok(took > 500 && took < 15_000, `out after ${took} ms`);
  t.match((await proxy.standing('reviews', v1)).why, /\w/);
  t.equal(await proxy.metric('tulle_endpoints', { service: 'reviews', state: 'unhealthy' }), 1);
  v1.flush();
  t.same(tally(await caller.many(100, '/')), { 200: 100 });
  t.equal(v1.flush().length, 0, 'it gets nothing');
  t.same(tally(await caller.many(20, '/slow')), { '503 no_endpoint': 20 }, 'a subset without an endpoint');
  v1.health = {};
  await proxy.stands('reviews', v1, 'usable');
  t.equal((await caller.ask('/slow')).status, 200, 'it is used again');
  await proxy.running.says(/ is healthy again/);

  v1.health = 'hang';
  v2.close();
  for (const endpoint of [v1, v2]) await proxy.stands('reviews', endpoint, 'unhealthy');
  const reasons = [await proxy.standing('reviews', v1), await proxy.standing('reviews', v2)];
  t.not(reasons[0]?.why, reasons[1]?.why, `different reasons: ${JSON.stringify(reasons)}`);
  const answers = await caller.many(100, '/');
  t.same(tally(answers), { '503 no_endpoint': 100 }, 'nobody is left');
  t.ok(
    answers.every(({ ms }) => ms < 1_000),
    'which is said at once',
  );
  v1.health = {};
  await v2.listen();
  await recover(rig);
}

/** What shares a proxy. */
const GROUPS = {
  routes: { canary, mirrored, slow, broken, limited, retried },
  standing: { ejection, health },
  panic: { budget },
};

t.jobs = 2;
for (const workers of [1, 4]) {
  for (const [group, parts] of Object.entries(GROUPS)) {
    t.test(`canary.yaml with ${workers} workers: ${group}`, async (t) => {
      const found = await rig(t, workers);
      for (const [name, part] of Object.entries(parts)) await t.test(name, (t) => part(t, found));
    });
  }
}
