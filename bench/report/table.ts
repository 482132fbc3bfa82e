// The result as text for a terminal: one table per kind of measurement, then the targets.

import type { Memory } from '../measure/memory.js';
import { SCENARIOS } from '../options.js';
import { overloadTable, resilienceTables } from './resilience.js';
import { cpuPoints, type Results } from './results.js';
import { median, ratios, type Spread, spread } from './statistics.js';
import { addedLatency, cpuOf, SUBJECT, type Verdict } from './targets.js';

const KIB = 1024;
const MIB = KIB * KIB;

/** Rows of cells as lines, columns aligned; the first column to the left, the others to the right. */
export function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** The whole report. */
export function renderTables(results: Results, targets: readonly Verdict[]): string {
  const sections = [
    ...throughputTables(results),
    ...latencyTables(results),
    ...blockedTable(results),
    ...syscallTable(results),
    ...memoryTables(results),
    ...routesTable(results),
    ...decisionsTable(results),
    ...resilienceTables(results, alignColumns),
    ...overloadTable(results, alignColumns),
    ...targetsTable(targets),
    ...(results.notes.length > 0 ? [['Notes', ...results.notes.map((text) => `- ${text}`)]] : []),
  ];
  return `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function throughputTables(results: Results): string[][] {
  return SCENARIOS.flatMap((scenario) => {
    const all = results.throughput.filter((one) => one.scenario === scenario);
    if (all.length === 0) return [];
    const subject = all.some((one) => one.peer === SUBJECT) ? SUBJECT : (all[0]?.peer ?? '');
    const own = cpuOf(results, scenario, subject);
    const rows = all.map(({ peer, samples, tls }) => {
      const valid = samples.filter((sample) => sample.void === undefined);
      return [
        peer,
        range(spread(cpuPoints(samples).map((point) => point.value)), 1),
        range(spread(ratios(own, cpuPoints(samples))), 2),
        fixed(median(valid.map((sample) => sample.rate)), 0),
        fixed(median(valid.map((sample) => sample.busy * 100)), 0),
        fixed(median(valid.map((sample) => sample.others * 100)), 0),
        `${valid.length}/${samples.length}`,
        tls ?? '',
      ];
    });
    const head = [
      scenario,
      'CPU µs/request (range)',
      `${subject} ÷ this (range)`,
      'requests/s',
      'core %',
      'others %',
      'rounds',
      '',
    ];
    return [alignColumns([head, ...rows])];
  });
}

function latencyTables(results: Results): string[][] {
  return (['one', 'rate'] as const).flatMap((kind) => {
    const all = results.latency.filter((one) => one.kind === kind);
    if (all.length === 0) return [];
    const values = (points: readonly { value: number }[]) => points.map((point) => point.value);
    const rows = all.map(({ peer, p50, p99 }) => [
      peer,
      range(spread(values(p50)), 0),
      range(spread(values(p99)), 0),
      peer === 'direct' ? '' : range(spread(values(addedLatency(results, { kind, peer, at: 'p50' }))), 0),
      peer === 'direct' ? '' : range(spread(values(addedLatency(results, { kind, peer, at: 'p99' }))), 0),
    ]);
    const title = kind === 'one' ? 'latency, 1 connection' : 'latency, 1,000 requests/s';
    return [alignColumns([[title, 'p50 µs (range)', 'p99 µs (range)', 'added p50', 'added p99'], ...rows])];
  });
}

function blockedTable(results: Results): string[][] {
  if (results.blocked.length === 0) return [];
  const values = (points: readonly { value: number }[]) => spread(points.map((point) => point.value));
  const rows = results.blocked.map(({ held, p50, p99 }) => [
    held ? 'held for 1 s' : 'free',
    range(values(p50), 0),
    range(values(p99), 0),
  ]);
  return [
    alignColumns([['JavaScript thread, 1,000 requests/s', 'p50 µs (range)', 'p99 µs (range)'], ...rows]),
  ];
}

function syscallTable(results: Results): string[][] {
  if (results.syscalls.length === 0) return [];
  const rows = results.syscalls.map(({ scenario, peer, perRequest, requests, byName }) => [
    `${peer} (${scenario})`,
    perRequest.toFixed(2),
    String(requests),
    Object.entries(byName)
      .slice(0, 6)
      .map(([name, count]) => `${name} ${count.toFixed(2)}`)
      .join(', '),
  ]);
  return [alignColumns([['system calls', 'per request', 'requests', 'most'], ...rows])];
}

function memoryTables(results: Results): string[][] {
  const shown = (memory: Memory) =>
    [memory.rss, memory.pss, memory.anonymous].map((bytes) => fixed(bytes / MIB, 1));
  const tables: string[][] = [];
  if (results.memory.length > 0) {
    const rows = results.memory.map(({ scenario, peer, idle, loaded, after, connections }) => [
      `${peer} (${scenario})`,
      ...shown(idle),
      fixed((loaded.rss - idle.rss) / connections / KIB, 2),
      fixed(after.rss / idle.rss, 2),
      String(connections),
    ]);
    const head = [
      'memory, MiB',
      'RSS',
      'PSS',
      'anonymous',
      'KiB/connection',
      'RSS after ÷ before',
      'connections',
    ];
    tables.push(alignColumns([head, ...rows]));
  }
  if (results.crowds.length > 0) {
    const rows = results.crowds.map(({ peer, processes, each }) => [
      `${processes} × ${peer}`,
      ...shown(each),
    ]);
    tables.push(alignColumns([['idle side by side, MiB each', 'RSS', 'PSS', 'anonymous'], ...rows]));
  }
  return tables;
}

function routesTable(results: Results): string[][] {
  if (results.routes.length === 0) return [];
  const first = cpuPoints(results.routes[0]?.samples ?? []);
  const rows = results.routes.map(({ routes, samples }) => [
    String(routes),
    range(spread(cpuPoints(samples).map((point) => point.value)), 1),
    range(spread(ratios(cpuPoints(samples), first)), 2),
  ]);
  return [
    alignColumns([['routes', 'CPU µs/request (range)', `to ${results.routes[0]?.routes ?? 0}`], ...rows]),
  ];
}

function decisionsTable({ decisions }: Results): string[][] {
  if (decisions.length === 0) return [];
  const rows = decisions.map(({ name, value, unit }) => [
    name,
    `${value.toFixed(value < 100 ? 1 : 0)} ${unit}`,
  ]);
  return [alignColumns([['decision', 'cost'], ...rows])];
}

function targetsTable(targets: readonly Verdict[]): string[][] {
  const known = targets.filter((target) => target.measured !== undefined);
  if (known.length === 0) return [['No target was measured in this run.']];
  const rows = known.map(({ name, unit, limit, measured, met }) => [
    name,
    measured === undefined ? '-' : `${measured.toFixed(2)} ${unit}`.trim(),
    `≤ ${limit.toFixed(2)} ${unit}`.trim(),
    met === true ? 'met' : 'MISSED',
  ]);
  const met = known.filter((target) => target.met === true).length;
  const summary = `${met} met, ${known.length - met} missed, ${targets.length - known.length} not measured in this run`;
  return [[...alignColumns([['target', 'measured', 'limit', ''], ...rows]), summary]];
}

function range(value: Spread | undefined, digits: number): string {
  if (value === undefined) return '-';
  return `${fixed(value.median, digits)} (${fixed(value.low, digits)}–${fixed(value.high, digits)})`;
}

function fixed(value: number | undefined, digits: number): string {
  return value === undefined || !Number.isFinite(value) ? '-' : value.toFixed(digits);
}
