import t from 'tap';
import { AnswerReader } from '../../bench/measure/answer.js';
import { Caller, type Outcome } from '../../bench/measure/caller.js';
import { Endpoint } from '../../bench/measure/endpoint.js';
import { seeded } from '../../bench/measure/random.js';
import { type Arrivals, perSecond, shareOf, timeToEject, timeToReadmit } from '../../bench/measure/shares.js';
import { type Figures, Tally } from '../../bench/measure/tally.js';
import { Workers } from '../../bench/measure/work.js';
import { emptyResults, type OverloadStep, type ResilienceResult } from '../../bench/report/results.js';
import { renderTables } from '../../bench/report/table.js';
import { verdicts } from '../../bench/report/targets.js';
import { faultsOf } from '../../bench/scenario/resilience.js';
import { FAULTS, HEALED, type Timeline, timelineOf, WELL } from '../../bench/scenario/timeline.js';
import { freePort } from '../ports.js';

const TIMES = { rate: 100, firstMs: 1000, lastMs: 1000 };

/** Ten endpoints with `each` requests per slice of 100 ms, but for those of endpoint 0, which `first` says. */
function arrivals(slices: number, each: number, first: (slice: number) => number): Arrivals {
  const counts = Array.from({ length: 10 }, (_, endpoint) =>
    Array.from({ length: slices }, (_, slice) => (endpoint === 0 ? first(slice) : each)),
  );
  return { sliceMs: 100, counts };
}

t.test('a timeline: stages follow each other, every fault begins and ends', async (t) => {
  const { stages, changes, faults, length } = timelineOf(FAULTS, TIMES);
  t.equal(
    stages.reduce((total, { ms }) => total + ms, 0),
    length,
  );
  t.same([stages[0]?.name, stages.at(-1)?.name], [WELL, HEALED]);
  for (const { name, endpoint, during, after } of faults) {
    const own = changes.filter((change) => change.endpoint === endpoint);
    t.same(
      own.map((change) => change.at),
      [during.from, during.to],
      `${name}: one beginning and one end`,
    );
    t.same([own[0]?.behaviour.kind === 'healthy', own[1]?.behaviour], [false, { kind: 'healthy' }]);
    t.same(after, { from: during.to, to: length });
  }
  t.equal(new Set(faults.map(({ endpoint }) => endpoint)).size, faults.length, 'each endpoint is ill once');
  t.ok(faults.every(({ endpoint }) => endpoint < 10) && length <= 45_000);
});

t.test('several faults at a time have names of their own', async (t) => {
  const parts = [
    { endpoint: 0, behaviour: { kind: 'silent' } },
    { endpoint: 1, behaviour: { kind: 'down' } },
  ] as const;
  const { faults, stages } = timelineOf([{ name: 'both', parts, ms: 500, calmMs: 200 }], TIMES);
  t.same(
    faults.map(({ name, isSeen, during }) => [name, isSeen, during]),
    [
      ['both: silent', true, { from: 1000, to: 1500 }],
      ['both: down', false, { from: 1000, to: 1500 }],
    ],
    'what is refused never arrives',
  );
  t.same(
    stages.map(({ name }) => name),
    [WELL, 'both', 'both over', HEALED],
  );
});

t.test('the share of an endpoint is to an even division', async (t) => {
  const even = arrivals(20, 10, () => 10);
  t.equal(shareOf(even, 0, { from: 0, to: 2000 }), 1);
  t.equal(
    shareOf(
      arrivals(20, 10, () => 0),
      0,
      { from: 0, to: 2000 },
    ),
    0,
  );
  t.equal(shareOf(even, 0, { from: 5000, to: 6000 }), undefined, 'nothing arrived at all');
  t.equal(shareOf(even, 12, { from: 0, to: 1000 }), 0, 'an endpoint that does not exist');
  const late = arrivals(20, 10, (slice) => (slice < 10 ? 10 : 0));
  t.same([shareOf(late, 0, { from: 0, to: 1000 }), shareOf(late, 0, { from: 1000, to: 2000 })], [1, 0]);
});

t.test('requests of whole seconds', async (t) => {
  const counts = [Array.from({ length: 12 }, () => 2), [5], []];
  t.same(perSecond({ sliceMs: 100, counts }), [[20, 4], [5], []]);
});

t.test('time to eject: the first window with less than a tenth', async (t) => {
  const span = { from: 1000, to: 4000 };
  const until = (slice: number) => arrivals(50, 10, (at) => (at < slice ? 10 : 0));
  t.equal(timeToEject(until(10), 0, span), 0, 'at once');
  t.equal(timeToEject(until(17), 0, span), 700);
  t.equal(timeToEject(until(50), 0, span), undefined, 'never');
  t.equal(timeToEject(until(38), 0, span), undefined, 'too late for a whole window');
  t.equal(
    timeToEject(
      arrivals(50, 10, () => 2),
      0,
      span,
    ),
    undefined,
    'a fifth is not out',
  );
});

t.test('time to readmit: the first window with half', async (t) => {
  const span = { from: 2000, to: 5000 };
  const from = (slice: number, each: number) => arrivals(50, 10, (at) => (at < slice ? 0 : each));
  t.equal(timeToReadmit(from(20, 10), 0, span), 0);
  t.equal(timeToReadmit(from(30, 10), 0, span), 800, 'half of the window that ends 300 ms later');
  t.equal(timeToReadmit(from(20, 4), 0, span), undefined, 'two fifths are not back');
  t.equal(timeToReadmit(from(50, 10), 0, span), undefined);
});

t.test('faults are told by what arrived; where nothing can arrive, only the return', async (t) => {
  const fault = (isSeen: boolean) => {
    const spans = { during: { from: 1000, to: 3000 }, after: { from: 3000, to: 5000 } };
    return { name: 'x', endpoint: 0, isSeen, ...spans };
  };
  const timeline = (isSeen: boolean): Timeline => ({
    stages: [],
    changes: [],
    faults: [fault(isSeen)],
    length: 5000,
  });
  const seen = arrivals(50, 10, (at) => (at >= 13 && at < 30 ? 0 : 10));
  const [found] = faultsOf(timeline(true), seen);
  t.same([found?.ejectMs, found?.readmitMs], [300, 0]);
  t.ok(Math.abs((found?.share ?? 0) - 30 / 183) < 0.01, 'three slices of twenty');
  t.same(faultsOf(timeline(false), seen), [
    { name: 'x', ejectMs: undefined, readmitMs: 0, share: undefined },
  ]);
});

t.test('chance is the same for the same seed, and even', async (t) => {
  const draw = (seed: number) => Array.from({ length: 10_000 }, seeded(seed));
  t.same(draw(7), draw(7));
  t.notSame(draw(7).slice(0, 5), draw(8).slice(0, 5));
  const tenths = Array.from({ length: 10 }, () => 0);
  for (const value of draw(1)) tenths[Math.floor(value * 10)] = (tenths[Math.floor(value * 10)] ?? 0) + 1;
  t.ok(
    tenths.every((count) => count > 850 && count < 1150),
    tenths.join(' '),
  );
});

t.test('answers of every framing, in any pieces', async (t) => {
  const body = 'HTTP/1.1 503 X\r\nContent-Length: 3\r\n\r\nabc';
  const cases = [
    [body, { status: 503, isReusable: true }],
    ['HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', { status: 200, isReusable: true }],
    ['HTTP/1.1 503 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', { status: 503, isReusable: false }],
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
      { status: 200, isReusable: true },
    ],
  ] as const;
  for (const [text, expected] of cases) {
    t.same(new AnswerReader().take(Buffer.from(text)), expected, text);
    const reader = new AnswerReader();
    const found = [...text].map((letter) => reader.take(Buffer.from(letter)));
    t.same([found.slice(0, -1).every((one) => one === undefined), found.at(-1)], [true, expected]);
  }
  const two = new AnswerReader();
  t.same([two.take(Buffer.from(body))?.status, two.take(Buffer.from(cases[1][0]))?.status], [503, 200]);
  const open = new AnswerReader();
  t.equal(open.take(Buffer.from('HTTP/1.1 200 OK\r\n\r\nabc')), undefined);
  t.same(open.end(), { status: 200, isReusable: false }, 'ended by the connection');
  t.equal(new AnswerReader().end(), undefined, 'no answer at all');
  const cut = new AnswerReader();
  cut.take(Buffer.from(body.slice(0, -1)));
  t.equal(cut.end(), undefined, 'an answer that is cut is none');
  t.throws(() => new AnswerReader().take(Buffer.from(`${body}d`)));
  t.throws(() => new AnswerReader().take(Buffer.from('SSH-2.0\r\n\r\n')));
});

t.test('a tally: 2xx, in good time, lost', async (t) => {
  const tally = new Tally(1000);
  for (const [outcome, ms] of [
    [200, 5],
    [204, 2000],
    [503, 1],
    ['lost', 3000],
  ] as const) {
    tally.add(outcome, ms * 1000);
  }
  const { sent, ok, good, lost, statuses, okP99, max } = tally.figures();
  t.same([sent, ok, good, lost], [4, 2, 1, 1]);
  t.same(statuses, { 200: 1, 204: 1, 503: 1 });
  t.ok(okP99 >= 2_000_000 && okP99 < 2_010_000 && max >= 3_000_000);
});

t.test('workers: so many at a time, the others in the order of their coming', async (t) => {
  const workers = new Workers({ workers: 2, serviceMs: 40 });
  const since = performance.now();
  const ends = await Promise.all(
    [0, 1, 2, 3, 4].map(
      () => new Promise<number>((resolve) => workers.work(() => resolve(performance.now() - since))),
    ),
  );
  t.equal(workers.load, 0);
  t.ok(
    ends.every((end, at) => end >= 40 * Math.floor(at / 2 + 1) - 1),
    ends.join(' '),
  );
});

function ask(caller: Caller, path = '/'): Promise<Outcome> {
  return new Promise((resolve) => caller.get(path, resolve));
}

t.test('an endpoint behaves as told', async (t) => {
  const port = await freePort();
  const endpoint = new Endpoint(port, { random: seeded(1), work: (done) => void setTimeout(done, 1) });
  const caller = new Caller(port, 10_000);
  const hasty = new Caller(port, 200);
  t.teardown(() => {
    caller.close();
    hasty.close();
    endpoint.close();
  });
  await endpoint.open();
  endpoint.countFrom(performance.now());
  t.same([await ask(caller), await ask(caller, '/healthz')], [200, 200]);
  await endpoint.become({ kind: 'slow', addedMs: 60 });
  const since = performance.now();
  t.same([await ask(caller), await ask(caller, '/healthz')], [200, 200]);
  t.ok(performance.now() - since >= 58);
  await endpoint.become({ kind: 'failing', share: 0.5 });
  const outcomes = [];
  for (let at = 0; at < 40; at += 1) outcomes.push(await ask(caller));
  const failed = outcomes.filter((outcome) => outcome === 503).length;
  t.ok(failed > 8 && failed < 32 && outcomes.every((outcome) => outcome === 503 || outcome === 200));
  t.equal(await ask(caller, '/healthz'), 200, 'health is not what fails');
  await endpoint.become({ kind: 'silent' });
  t.same(await Promise.all([ask(hasty), ask(hasty, '/healthz')]), ['lost', 'lost']);
  await endpoint.become({ kind: 'down' });
  t.equal(await ask(caller), 'lost');
  await endpoint.become({ kind: 'healthy' });
  t.equal(await ask(caller), 200, 'it returns on the same port');
  const total = endpoint.counts().reduce((sum, count) => sum + count, 0);
  t.equal(total, 44, 'what arrived, health checks and what was refused left out');
});

t.test('an endpoint that was silent closes what it left without an answer', async (t) => {
  const port = await freePort();
  const endpoint = new Endpoint(port, { random: seeded(1), work: (done) => done() });
  const caller = new Caller(port, 60_000);
  t.teardown(() => {
    caller.close();
    endpoint.close();
  });
  await endpoint.open();
  await endpoint.become({ kind: 'silent' });
  const hung = ask(caller);
  while (endpoint.counts().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await endpoint.become({ kind: 'healthy' });
  t.same([await hung, await ask(caller)], ['lost', 200]);
});

function figures(of: Partial<Figures>): Figures {
  const none = { sent: 1000, ok: 1000, good: 1000, lost: 0, statuses: {}, p50: 1, p99: 1, max: 1 };
  return { ...none, okP50: 1, okP99: 1, ...of };
}

function resilienceResult(
  peer: string,
  of: { ok: number; p99: number; amplification?: number },
): ResilienceResult {
  const { ok, p99, amplification = 1 } = of;
  const overall = figures({ ok, p99 });
  const faults = [{ name: 'slow', ejectMs: 300, readmitMs: undefined, share: 0.25 }];
  const stages = [{ name: 'slow', figures: overall }];
  return { round: 1, peer, stages, overall, amplification, faults, perSecond: [], latestMs: 0, others: 0 };
}

function resilienceVerdict(results: ReturnType<typeof emptyResults>, name: string) {
  const found = verdicts(results).find((one) => one.name === name);
  return [found?.measured, found?.limit, found?.met];
}

t.test('targets of the resilience scenario', async (t) => {
  const results = emptyResults();
  results.resilience.push(
    resilienceResult('tulle', { ok: 999, p99: 100, amplification: 1.3 }),
    resilienceResult('haproxy', { ok: 990, p99: 200 }),
    resilienceResult('envoy', { ok: 1000, p99: 50 }),
    resilienceResult('direct', { ok: 900, p99: 1000 }),
  );
  const of = (name: string) => resilienceVerdict(results, name);
  t.same(of('requests without success while endpoints fail, to haproxy'), [0.1, 1, true]);
  t.same(of('requests without success while endpoints fail, to envoy'), [0.1, 0, false]);
  t.same(of('p99 while endpoints fail, to haproxy'), [0.5, 1, true]);
  t.same(of('p99 while endpoints fail, to envoy'), [2, 1, false]);
  t.same(of('attempts per request while endpoints fail'), [1.3, 1.2, false]);
  t.same(of('p99 with one slow endpoint of ten, to no proxy'), [0.1, 0.85, true]);
  const text = renderTables(results, verdicts(results));
  t.match(text, /haproxy +- +99\.000/);
  t.match(text, /slow +0\.25 +0\.3 +- /);
});

t.test('a figure that is missing in half of the rounds is none', async (t) => {
  const results = emptyResults();
  const one = resilienceResult('tulle', { ok: 1000, p99: 100 });
  const never = { ...one, faults: [{ name: 'slow', ejectMs: undefined, readmitMs: 0, share: 1 }] };
  results.resilience.push(one, never);
  t.match(renderTables(results, []), /slow +0\.63 +- +-$/m);
});

t.test('targets of the overload scenario', async (t) => {
  const results = emptyResults();
  const step = (load: number, goodput: number, of: Partial<OverloadStep> = {}): OverloadStep => {
    const asked = { asked: 80, unanswered: 0, slowestMs: 3, rss: 2 ** 26 };
    return {
      load,
      goodput,
      settling: figures({}),
      figures: figures({}),
      high: figures({ good: 500 }),
      ...asked,
      ...of,
    };
  };
  const common = { round: 1, capacity: 500, idleRss: 2 ** 25, others: 0 };
  results.overload.push(
    { ...common, peer: 'tulle', steps: [step(1, 480), step(3, 460, { unanswered: 1 })] },
    { ...common, peer: 'haproxy', steps: [step(1, 500), step(3, 400)] },
  );
  const of = (name: string) => resilienceVerdict(results, name);
  const [missing, limit, met] = of('goodput at 3 × capacity below the peak');
  t.same([Number(missing).toFixed(6), limit, met], ['8.000000', 10, true]);
  t.same(of('probes and admin without an answer in 1 s'), [1, 0, false]);
  t.same(of('RSS grown under 3 × capacity'), [32, 32, true]);
  t.match(renderTables(results, []), /tulle +3× +460 +0\.92 .* 50\.0 +1\/80 +3 +64\.0 +32\.0/);
});
