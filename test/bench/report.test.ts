import t from 'tap';
import type { Sample } from '../../bench/measure/window.js';
import type { ScenarioName } from '../../bench/options.js';
import { chartGroups, escapeXml, renderChart } from '../../bench/report/chart.js';
import { cpuPoints, emptyResults, type Results } from '../../bench/report/results.js';
import { differences, median, ratios, spread } from '../../bench/report/statistics.js';
import { alignColumns, renderTables } from '../../bench/report/table.js';
import { verdicts } from '../../bench/report/targets.js';

function points(...values: number[]) {
  return values.map((value, at) => ({ round: at + 1, value }));
}

function samples(...values: number[]): Sample[] {
  return values.map((cpuUs, at) => ({
    round: at + 1,
    cpuUs,
    rate: 1e6 / cpuUs,
    busy: 1,
    requests: 1000,
    others: 0,
    newConnections: 0,
  }));
}

function withCpu(figures: Record<string, number[]>, scenario: ScenarioName = 'h1-1k-32'): Results {
  const results = emptyResults();
  for (const [peer, values] of Object.entries(figures)) {
    results.throughput.push({ scenario, peer, tls: undefined, samples: samples(...values) });
  }
  return results;
}

function verdictOf(results: Results, name: RegExp) {
  const found = verdicts(results).filter((one) => name.test(one.name));
  if (found.length !== 1) throw new Error(`${found.length} targets match ${name}`);
  return found[0];
}

t.test('medians', async (t) => {
  t.equal(median([]), undefined);
  t.equal(median([3]), 3);
  t.equal(median([9, 1, 5]), 5);
  t.equal(median([10, 9, 1, 2]), 5.5, 'numbers are not sorted as text');
  t.same(spread([4, 2, 9]), { median: 4, low: 2, high: 9, count: 3 });
  t.equal(spread([]), undefined);
});

t.test('ratios and differences are taken within a round', async (t) => {
  t.same(ratios(points(10, 30), points(20, 40)), [0.5, 0.75]);
  t.same(ratios(points(10, 30), [{ round: 2, value: 10 }]), [3], 'a round that only one has is left out');
  t.same(ratios(points(1), points(0)), []);
  t.same(differences(points(10, 30), points(1, 40)), points(9, -10));
});

t.test('the median of ratios, not the ratio of medians', async (t) => {
  const results = withCpu({ tulle: [10, 60, 20], haproxy: [20, 90, 21] });
  t.equal(verdictOf(results, /h1-1k-32, to haproxy/)?.measured?.toFixed(3), (60 / 90).toFixed(3));
});

t.test('void samples do not count', async (t) => {
  const [first, second] = samples(10, 99);
  if (first === undefined || second === undefined) throw new Error('two samples were asked for');
  t.same(cpuPoints([first, { ...second, void: '3 socket errors' }]), points(10));
});

t.test('targets: met at the limit, missed above, open when not measured', async (t) => {
  const at = (own: number) => verdictOf(withCpu({ tulle: [own], haproxy: [10] }), /h1-1k-32, to haproxy/);
  t.same([at(9)?.met, at(9)?.measured, at(9)?.limit], [true, 0.9, 0.9]);
  t.equal(at(9.1)?.met, false);
  t.ok(verdicts(emptyResults()).every((one) => one.met === undefined && one.measured === undefined));
});

t.test('the pair is compared with the cheapest', async (t) => {
  const found = verdictOf(withCpu({ tulle: [60], nginx: [100], haproxy: [80] }, 'mtls-pair-32'), /cheapest/);
  t.equal(found?.measured, 0.75);
  const alone = verdictOf(withCpu({ tulle: [60], nginx: [100] }, 'mtls-pair-32'), /cheapest/);
  t.equal(alone?.met, undefined, 'with one of them missing nobody knows which is the cheapest');
});

t.test('the mesh leg is judged over either protocol', async (t) => {
  const results = withCpu({ tulle: [60], 'tulle h2': [45], haproxy: [75] }, 'mtls-pair-32');
  const found = verdicts(results).filter(({ name }) => /mtls-pair-32.*, to haproxy$/.test(name));
  t.same(
    found.map(({ measured, met }) => [measured, met]),
    [
      [0.8, false],
      [0.6, true],
    ],
  );
});

t.test('memory of idle connections over HTTP/2', async (t) => {
  const results = emptyResults();
  const at = (bytes: number) => ({ rss: bytes, pss: bytes, anonymous: bytes });
  const idle = at(1e6);
  const loaded = at(1e6 + 1000 * 6144);
  results.memory.push({ scenario: 'h2', peer: 'tulle', idle, loaded, after: idle, connections: 1000 });
  const found = verdictOf(results, /per idle connection, h2/);
  t.same([found?.measured, found?.limit, found?.met], [6, 6, true]);
});

t.test('latency is what is added over the direct way, noise what a second copy differs', async (t) => {
  const results = emptyResults();
  const series = (kind: 'one' | 'rate', peer: string, values: number[]) =>
    results.latency.push({ kind, peer, p50: points(...values), p99: points(...values) });
  for (const kind of ['one', 'rate'] as const) {
    series(kind, 'direct', [100, 200]);
    series(kind, 'tulle', [180, 280]);
    series(kind, 'haproxy', [200, 300]);
    series(kind, 'nginx', [300, 400]);
    series(kind, 'tulle′', [180, 290]);
  }
  t.equal(verdictOf(results, /added p50/)?.measured, 0.8);
  const p99 = verdictOf(results, /added p99/);
  t.same([p99?.measured, p99?.limit, p99?.met], [80, 110, true]);
});

t.test('a held JavaScript thread', async (t) => {
  const results = emptyResults();
  results.blocked.push({ held: false, p50: points(1, 1, 1), p99: points(300, 310, 330) });
  results.blocked.push({ held: true, p50: points(1, 1, 1), p99: points(320, 340, 900) });
  const found = verdictOf(results, /held/);
  t.same([found?.limit, found?.measured, found?.met], [340, 340, true]);
});

t.test('system calls, memory and routes', async (t) => {
  const results = emptyResults();
  const memory = (kib: number) => ({ rss: kib * 1024, pss: kib * 1024, anonymous: kib * 1024 });
  results.syscalls.push({ scenario: 'h1', peer: 'tulle', perRequest: 4.2, requests: 1, byName: { read: 2 } });
  results.memory.push({
    scenario: 'h1',
    peer: 'tulle',
    idle: memory(13 * 1024),
    loaded: memory(33 * 1024),
    after: memory(16 * 1024),
    connections: 10_240,
  });
  results.crowds.push({ peer: 'tulle', processes: 10, each: memory(20 * 1024) });
  results.routes.push(
    { routes: 10, samples: samples(20, 20) },
    { routes: 100_000, samples: samples(21, 22) },
  );
  const measured = (name: RegExp) => verdictOf(results, name)?.measured;
  t.equal(measured(/system calls.*h1/), 4.2);
  t.equal(measured(/system calls.*TLS/), undefined);
  t.equal(measured(/per idle connection, h1/), 2);
  t.equal(measured(/closed, h1/)?.toFixed(3), (16 / 13).toFixed(3));
  t.equal(verdictOf(results, /anonymous/)?.met, false);
  t.equal(measured(/PSS/), 20);
  t.equal(measured(/100,000 routes/)?.toFixed(3), ((21 / 20 + 22 / 20) / 2).toFixed(3));
  const text = renderTables(results, verdicts(results));
  t.match(text, /private \(anonymous\) memory, idle +13\.00 MiB +≤ 12\.00 MiB +MISSED/);
  t.match(text, /memory per idle connection, h1 +2\.00 KiB +≤ 2\.00 KiB +met/);
});

t.test('columns', async (t) => {
  t.same(
    alignColumns([
      ['name', 'µs'],
      ['a', '1.0'],
      ['longer', ''],
    ]),
    ['name     µs', 'a       1.0', 'longer'],
  );
});

t.test('SVG text is escaped', async (t) => {
  t.equal(escapeXml(`<a href="x">&'`), '&lt;a href=&quot;x&quot;&gt;&amp;&#39;');
  t.equal(escapeXml('a\u0000b\u001bc\ufffed\ud800e\tf'), 'abcde\tf');
  t.equal(escapeXml('µ ′ 𝛼'), 'µ ′ 𝛼');
});

t.test('the chart', async (t) => {
  const results = withCpu({ tulle: [20, 22, 21], haproxy: [42, 42, 42], 'tulle′': [21, 21, 21] });
  const groups = chartGroups(results);
  t.same(groups[0]?.bars, [
    { label: 'tulle', value: 21, isSubject: true },
    { label: 'haproxy', value: 42, isSubject: false },
  ]);
  const svg = renderChart(groups, 'Tulle <1> & "friends"');
  const widths = [...svg.matchAll(/<rect class="[sp]" [^>]*width="([\d.]+)"/g)].map((found) =>
    Number(found[1]),
  );
  t.equal(widths.length, 2);
  t.ok(Math.abs((widths[0] ?? 0) * 2 - (widths[1] ?? 0)) < 0.2, 'the lengths are the figures');
  t.match(svg, 'Tulle &lt;1&gt; &amp; &quot;friends&quot;');
  t.equal(
    [...svg.matchAll(/<(?!\/|\?)/g)].length,
    [...svg.matchAll(/<\/|\/>/g)].length,
    'every element is closed',
  );
  t.same(chartGroups(withCpu({ tulle: [20] }, 'mtls-pair-1')), [], 'the chart takes the telling ones');
  t.same(chartGroups(emptyResults()), []);
});
