// More to do than can be done: who is turned away, how soon, and that it is over when the load is. By priority, by a limit
// that follows the latency, by a queue that fills, by memory. Proxies are processes of their own, with four workers.

import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { request } from '../http.js';
import { freePorts } from '../ports.js';
import { type Caller, Capacity, Proxied, type Timed, tally, until } from './endpoint.js';
import { type Pair, pair, type Service } from './pair.js';
import { Wire } from './wire.js';

/** More than the least limit on memory that can be set is in use from the beginning. */
const HELD = { NODE_OPTIONS: '--import=data:text/javascript,globalThis.held=Buffer.alloc(67108864,1)' };

const CLASSES = ['low', 'normal', 'high'] as const;

interface Rig extends Pair {
  readonly proxy: Proxied;
  /** Pages that are answered whatever happens. */
  readonly pages: readonly string[];
}

/** A service whose requests have the priority that their path says, and whose endpoints can do so much together. */
async function rig(t: Test, service: Partial<Service>, capacity?: Capacity): Promise<Rig> {
  const rules = CLASSES.map((priority) => ({ priority, matches: [{ path: { prefix: `/${priority}` } }] }));
  const found = await pair(t, service, rules);
  for (const endpoint of [found.a, found.b]) endpoint.before = capacity?.serve ?? endpoint.before;
  const [probes = 0] = await freePorts(1);
  const listeners = { ...found.config.listeners, probes: { address: `127.0.0.1:${probes}`, probes: true } };
  const proxy = await Proxied.start(t, { ...found.config, listeners }, { admin: found.adminPort, env: HELD });
  const pages = ['/healthz', '/readyz', '/metrics'].flatMap((page) =>
    [probes, found.adminPort].map((port) => `http://127.0.0.1:${port}${page}`),
  );
  return { ...found, proxy, pages };
}

/** The share that was answered 200. */
function success(answers: readonly Timed[]): number {
  return answers.filter(({ status }) => status === 200).length / answers.length;
}

/** Who is turned away is so for this reason, without a wait, and is told when to come again; their number. */
function turnedAway(t: Test, answers: readonly Timed[], reason = 'shed'): number {
  const away = answers.filter(({ status }) => status !== 200);
  for (const { status, headers, ms } of away) {
    const told = { status, reason: headers['x-tulle-reason'], after: headers['retry-after'] };
    if (told.status !== 503 || told.reason !== reason || told.after !== '1' || ms > 3_000) {
      t.same(told, { status: 503, reason, after: '1' }, `after ${ms} ms`);
    }
  }
  return away.length;
}

/** Looks at the pages until it is over; what was answered but 200, and how often each was looked at. */
async function look({ pages }: Rig, isOver: () => boolean): Promise<{ looks: number; bad: string[] }> {
  const bad: string[] = [];
  let looks = 0;
  for (; !isOver(); looks += 1) {
    for (const page of pages) {
      const { status } = await request(page);
      if (status !== 200) bad.push(`${page}: ${status}`);
    }
    await pause(50);
  }
  return { looks, bad };
}

interface Flood {
  isOver(): boolean;
  /** Ends it; what it was answered. */
  stop(): Promise<Timed[]>;
}

/** A load that lasts until it is stopped, or the test has failed. */
function startFlood(t: Test, caller: Caller, how: { target: string; patienceMs: number }): Flood {
  let over = false;
  const answers = caller.during(() => !over, how.target, { patienceMs: how.patienceMs });
  answers.catch(() => {});
  const end = (): void => {
    over = true;
  };
  t.teardown(end);
  const stop = (): Promise<Timed[]> => {
    end();
    return answers;
  };
  return { isOver: () => over, stop };
}

t.jobs = 4;

t.test('by latency: the limit goes down with the capacity, and up again', async (t) => {
  const capacity = new Capacity(32, 25);
  const found = await rig(t, { limits: { adaptive: { min: 2, max: 64 } } }, capacity);
  const caller = found.caller(20);
  await caller.many(400, '/high');
  const flood = startFlood(t, caller, { target: '/high', patienceMs: 60 });
  const most = async (): Promise<number> => {
    capacity.most = 0;
    await pause(200);
    return capacity.most;
  };
  capacity.servers = 2;
  await until(async () => (await most()) <= 15, 'fewer are let in');
  capacity.servers = 32;
  await until(async () => (await most()) === 20, 'all are let in');
  const answers = await flood.stop();
  const away = turnedAway(t, answers);
  t.ok(away > 0, `${away} of ${answers.length} were turned away`);
  await until(async () => success(await caller.many(240, '/high')) === 1, 'nobody is turned away any more');
});

t.test('by latency: below the capacity nobody is turned away to find out', async (t) => {
  // Long beside what a busy machine adds.
  const found = await rig(t, { limits: { adaptive: { min: 2, max: 64 } } }, new Capacity(32, 400));
  t.same(tally(await found.caller(20).many(120, '/high')), { 200: 120 });
});

t.test('by the queue: from three quarters on those below do not join it', async (t) => {
  const limits = { requests: 4, pending: 8, queueTimeout: '60s' };
  const found = await rig(t, { limits });
  const { a, b, proxy } = found;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  for (const endpoint of [a, b]) endpoint.before = () => released;
  const caller = found.caller(12);
  const asked = Array.from({ length: 10 }, () => caller.ask('/normal'));
  for (const one of asked) one.catch(() => {});
  await until(() => a.seen.length + b.seen.length === 4, 'as many are under way as may');
  const impatient = found.caller(1);
  /** One that does not wait for long. */
  const told = (target: string): Promise<Timed> =>
    impatient.ask(target, { headers: { 'x-tulle-deadline': '50' } });
  const away = async (target: string, reason: string): Promise<boolean> => {
    const answer = await told(target);
    return answer.headers['x-tulle-reason'] === reason && turnedAway(t, [answer], reason) === 1;
  };
  await until(() => away('/low', 'shed'), 'the queue is three quarters full');
  for (const target of ['/normal', '/high']) {
    t.match(await told(target), { status: 504, headers: { 'x-tulle-reason': 'deadline_exceeded' } });
  }
  /** Asks until it may wait: those that do not wait for long take places as well. */
  const insist = async (target: string): Promise<Timed> => {
    const answer = await caller.ask(target);
    if (answer.headers['x-tulle-reason'] !== 'pending_full') return answer;
    await pause(20);
    return await insist(target);
  };
  asked.push(insist('/normal'), insist('/high'));
  for (const target of ['/high', '/normal', '/low']) {
    await until(() => away(target, 'pending_full'), `the queue is full for ${target}`);
  }
  let looks = 0;
  t.match(await look(found, () => looks++ > 0), { looks: 1, bad: [] });
  t.equal(a.seen.length + b.seen.length, 4, 'who is turned away does not get to an endpoint');
  release();
  t.same(tally(await Promise.all(asked)), { 200: 12 }, 'all that wait get their turn');
  const shed = await proxy.event('api', 'shed');
  t.same(tally(await found.caller(4).many(100, '/low')), { 200: 100 }, 'and those below as well');
  t.equal(await proxy.event('api', 'shed'), shed);
});

t.test('by memory: near its limit those below are turned away', async (t) => {
  const found = await rig(t, {});
  const { proxy, port } = found;
  const told = async (name: string): Promise<number> =>
    Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await proxy.page('/metrics'))?.[1]);
  const config = JSON.parse(await proxy.text());
  // Connections that are neither new nor idle.
  const wires = new Map<string, Wire>();
  for (const priority of CLASSES) {
    const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
    await wire.send(`GET /${priority} HTTP/1.1\r\nHost: a\r\n`);
    wires.set(priority, wire);
  }
  await until(async () => {
    const memory = `${Math.round((await told('process_resident_memory_bytes')) / 1024 / 0.95)}KiB`;
    await proxy.reload({ ...config, memory });
    await pause(250);
    return (await told('tulle_memory_pressure')) === 1;
  }, 'memory is short');
  const answer = async (priority: string) => {
    const wire = wires.get(priority);
    await wire?.send('\r\n');
    return wire?.final();
  };
  const low = await answer('low');
  t.equal(low?.status, 503);
  t.same([low?.all('x-tulle-reason'), low?.all('retry-after')], [['shed'], ['1']]);
  for (const priority of ['normal', 'high']) t.equal((await answer(priority))?.status, 200, priority);
  let looks = 0;
  t.match(await look(found, () => looks++ > 0), { looks: 1, bad: [] });
  await proxy.reload(config);
  await until(async () => (await told('tulle_memory_pressure')) === 0, 'there is memory again');
  t.same(tally(await found.caller(4).many(50, '/low')), { 200: 50 });
});

t.test('by priority: those above are served, those below are told to come again', async (t) => {
  const capacity = new Capacity(16, 50);
  const found = await rig(
    t,
    {
      limits: { adaptive: { min: 16, max: 16 }, queueTimeout: '10s' },
      healthCheck: { http: { path: '/healthz' }, interval: '100ms', timeout: '10s' },
    },
    capacity,
  );
  const { a, b, proxy } = found;
  const flood = startFlood(t, found.caller(40), { target: '/low', patienceMs: 100 });
  const looked = look(found, flood.isOver);
  const checked = a.checks + b.checks;
  const high = await found.caller(6).many(120, '/high', { patienceMs: 100 });
  const low = await flood.stop();
  t.ok(success(high) > 0.85, `${success(high)} of those above`);
  t.ok(success(low) > 0 && success(low) < 0.6, `${success(low)} of those below`);
  const away = turnedAway(t, [...low, ...high]);
  t.equal(await proxy.event('api', 'shed'), away);
  t.equal(a.seen.length + b.seen.length, low.length + high.length - away, 'they are told so before a try');
  t.ok(capacity.most <= 16, `${capacity.most} at a time`);
  const { looks, bad } = await looked;
  t.ok(looks > 3 && bad.length === 0, `probes and admin pages, ${looks} times: ${bad}`);
  t.ok(a.checks + b.checks > checked, 'endpoints are checked meanwhile');
  for (const endpoint of [a, b]) t.match(await proxy.standing('api', endpoint), { state: 'usable' });
  const calm = found.caller(4);
  await until(async () => success(await calm.many(8, '/low')) === 1, 'there is room again');
  t.same(tally(await calm.many(100, '/low')), { 200: 100 }, 'for those below as well');
});

t.test('who was left nothing by those above comes back when they are gone', async (t) => {
  const found = await rig(t, { limits: { adaptive: { min: 4, max: 4 } } }, new Capacity(4, 20));
  const low = found.caller(1);
  const asks = async (): Promise<boolean> => success([await low.ask('/low')]) === 1;
  // More than there is room for, of the highest alone: the share of those below goes towards nothing.
  const flood = startFlood(t, found.caller(16), { target: '/high', patienceMs: 60 });
  await pause(2_500);
  t.notOk(await asks(), 'nothing is left');
  t.ok(turnedAway(t, await flood.stop()) > 0);
  await until(asks, 'it is let in');
  t.same(tally(await low.many(30, '/low')), { 200: 30 });
});

t.test('by latency: under a flood, endpoints have few at a time', async (t) => {
  const limits = { adaptive: { min: 4, max: 32 }, requests: 1_000 };
  const found = await rig(t, { limits }, new Capacity(1, 3));
  const calm = await found.caller(2).many(200, '/normal');
  t.same(tally(calm), { 200: 200 }, 'nothing is shed without need');
  const answers = await found.caller(120).many(1_500, '/normal', { patienceMs: 60 });
  const shed = turnedAway(t, answers);
  t.ok(answers.length - shed > 40, `${answers.length - shed} good answers`);
  t.ok(shed > 0, `${shed} shed`);
  t.ok(found.a.most + found.b.most <= 40, `${found.a.most} and ${found.b.most} at a time`);
  t.equal(await found.proxy.event('api', 'shed'), shed);
});
