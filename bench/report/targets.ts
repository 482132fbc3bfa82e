// What was aimed for, and whether a result meets it. Pure: results in, verdicts out.

import type { ScenarioName } from '../options.js';
import { failurePercent, goodputOf, OVERALL, peakGoodput, resilienceOf, stageOf } from './resilience.js';
import {
  cpuPoints,
  type LatencySeries,
  type MemoryResult,
  OVER_H2,
  type OverloadResult,
  type OverloadStep,
  PRIME,
  type Results,
} from './results.js';
import { differences, median, type Point, ratios } from './statistics.js';

/** One target against one result. */
export interface Verdict {
  readonly name: string;
  /** Units of measured value and limit. */
  readonly unit: string;
  readonly limit: number;
  /** Undefined: not measured in this run. */
  readonly measured: number | undefined;
  /** Undefined: not measured in this run. */
  readonly met: boolean | undefined;
}

/** The one that the targets are about. */
export const SUBJECT = 'tulle';

const KIB = 1024;
const MIB = 1024 * 1024;

/** CPU per request as a ratio to peers. */
interface CpuTarget {
  readonly scenario: ScenarioName;
  /** Which series of ours; the plain one where nothing is said. */
  readonly own?: string;
  /** Several peers: to the cheapest of them. */
  readonly to: readonly string[];
  readonly limit: number;
}

const CPU_TARGETS: readonly CpuTarget[] = [
  { scenario: 'h1-1k-32', to: ['haproxy'], limit: 0.9 },
  { scenario: 'h1-1k-32', to: ['nginx'], limit: 0.9 },
  { scenario: 'h1-1k-32', to: ['envoy'], limit: 0.33 },
  { scenario: 'h1-16k-32', to: ['haproxy'], limit: 0.9 },
  { scenario: 'h1-16k-32', to: ['nginx'], limit: 0.9 },
  { scenario: 'h1-16k-32', to: ['envoy'], limit: 0.33 },
  { scenario: 'h1-1k-256', to: ['haproxy'], limit: 0.7 },
  { scenario: 'h1-1k-256', to: ['nginx'], limit: 0.7 },
  { scenario: 'h1-1k-256', to: ['envoy'], limit: 0.28 },
  { scenario: 'h1-16k-256', to: ['haproxy'], limit: 0.7 },
  { scenario: 'h1-16k-256', to: ['nginx'], limit: 0.7 },
  { scenario: 'h1-16k-256', to: ['envoy'], limit: 0.28 },
  { scenario: 'tls-1k-32', to: ['haproxy'], limit: 0.85 },
  { scenario: 'tls-1k-32', to: ['nginx'], limit: 0.7 },
  { scenario: 'h2-h1-32x1', to: ['haproxy'], limit: 1 },
  { scenario: 'h2-h1-32x1', to: ['nginx'], limit: 0.65 },
  { scenario: 'h2-h1-4x8', to: ['haproxy'], limit: 1 },
  { scenario: 'h2-h1-4x8', to: ['nginx'], limit: 0.65 },
  { scenario: 'grpc-4x8', to: ['haproxy'], limit: 0.9 },
  { scenario: 'grpc-4x8', to: ['nginx'], limit: 0.25 },
  { scenario: 'grpc-4x8', to: ['envoy'], limit: 0.25 },
  { scenario: 'grpc-32x1', to: ['haproxy'], limit: 0.85 },
  { scenario: 'tcp-1k-32', to: ['haproxy'], limit: 1 },
  { scenario: 'tcp-16k-32', to: ['haproxy'], limit: 1 },
  { scenario: 'tcp-connect-32', to: ['haproxy'], limit: 1 },
  { scenario: 'mtls-pair-32', to: ['haproxy'], limit: 0.7 },
  { scenario: 'mtls-pair-32', own: SUBJECT + OVER_H2, to: ['haproxy'], limit: 0.7 },
  { scenario: 'mtls-pair-32', to: ['nginx', 'haproxy'], limit: 0.85 },
  { scenario: 'mtls-pair-32', to: ['envoy'], limit: 0.35 },
];

/** Judges a result by every target. */
export function verdicts(results: Results): Verdict[] {
  return [
    ...CPU_TARGETS.map((target) => cpuVerdict(results, target)),
    ...latencyVerdicts(results),
    heldVerdict(results),
    ...syscallVerdicts(results),
    ...memoryVerdicts(results),
    routesVerdict(results),
    ...decisionVerdicts(results),
    featuresVerdict(results),
    ...resilienceVerdicts(results),
    ...overloadVerdicts(results),
  ];
}

function verdict(
  name: string,
  unit: string,
  figures: { limit: number; measured: number | undefined },
): Verdict {
  const { limit, measured } = figures;
  return { name, unit, limit, measured, met: measured === undefined ? undefined : measured <= limit };
}

function cpuVerdict(results: Results, target: CpuTarget): Verdict {
  const { scenario, limit } = target;
  const own = cpuOf(results, scenario, target.own ?? SUBJECT);
  const each = target.to.map((peer) => median(ratios(own, cpuOf(results, scenario, peer))));
  // To the cheapest peer the ratio is the highest; a missing peer leaves the question open.
  const known = each.filter((ratio) => ratio !== undefined);
  const measured = known.length === each.length ? Math.max(...known) : undefined;
  const peers = target.to.length > 1 ? `the cheapest of ${target.to.join(', ')}` : target.to.join('');
  const mine = target.own === undefined ? '' : ` (${target.own})`;
  return verdict(`CPU per request, ${scenario}${mine}, to ${peers}`, '×', { limit, measured });
}

/** The CPU points of a peer in a scenario; empty when it was not measured. */
export function cpuOf(results: Results, scenario: ScenarioName, peer: string): Point[] {
  const series = results.throughput.find((one) => one.scenario === scenario && one.peer === peer);
  return series === undefined ? [] : cpuPoints(series.samples);
}

/** Latency that a peer adds over the direct way in the same round, in microseconds. */
export function addedLatency(
  results: Results,
  of: { kind: LatencySeries['kind']; peer: string; at: 'p50' | 'p99' },
): Point[] {
  const find = (peer: string) =>
    results.latency.find((one) => one.kind === of.kind && one.peer === peer)?.[of.at];
  return differences(find(of.peer) ?? [], find('direct') ?? []);
}

function latencyVerdicts(results: Results): Verdict[] {
  const p50 = (peer: string) => addedLatency(results, { kind: 'one', peer, at: 'p50' });
  const single = median(ratios(p50(SUBJECT), p50('haproxy')));
  return [
    verdict('added p50 at one connection, to haproxy', '×', { limit: 0.85, measured: single }),
    rateVerdict(results),
  ];
}

/** Added p99 at the fixed rate, at most the best other peer's plus what Tulle differs from its own second copy. */
function rateVerdict(results: Results): Verdict {
  const p99 = (peer: string) => addedLatency(results, { kind: 'rate', peer, at: 'p99' });
  const others = results.latency
    .filter((one) => one.kind === 'rate' && !one.peer.startsWith(SUBJECT) && one.peer !== 'direct')
    .flatMap((one) => median(p99(one.peer).map((point) => point.value)) ?? []);
  const own = p99(SUBJECT);
  const noise = differences(own, p99(SUBJECT + PRIME)).map((point) => Math.abs(point.value));
  const measured = median(own.map((point) => point.value));
  const name = 'added p99 at 1,000 requests/s, to the best peer plus noise';
  if (others.length === 0 || noise.length === 0)
    return verdict(name, 'µs', { limit: 0, measured: undefined });
  return verdict(name, 'µs', { limit: Math.min(...others) + Math.max(...noise), measured });
}

/** With the thread held, p99 at most the median of the free runs plus the range of those. */
function heldVerdict(results: Results): Verdict {
  const p99 = (held: boolean) =>
    results.blocked.find((one) => one.held === held)?.p99.map((point) => point.value) ?? [];
  const free = p99(false);
  const middle = median(free);
  const name = 'p99 at 1,000 requests/s with JavaScript held for 1 s, to free plus noise';
  if (middle === undefined) return verdict(name, 'µs', { limit: 0, measured: undefined });
  const noise = Math.max(...free) - Math.min(...free);
  return verdict(name, 'µs', { limit: middle + noise, measured: median(p99(true)) });
}

function syscallVerdicts(results: Results): Verdict[] {
  const found = (scenario: 'h1' | 'tls') =>
    results.syscalls.find((one) => one.scenario === scenario && one.peer === SUBJECT)?.perRequest;
  return [
    verdict('system calls per request, h1, 32 connections', '', { limit: 4.3, measured: found('h1') }),
    verdict('system calls per request, TLS, 32 connections', '', { limit: 5, measured: found('tls') }),
  ];
}

function memoryVerdicts(results: Results): Verdict[] {
  const of = (scenario: MemoryResult['scenario']) =>
    results.memory.find((one) => one.scenario === scenario && one.peer === SUBJECT);
  const perConnection = (scenario: MemoryResult['scenario']) => {
    const found = of(scenario);
    return found === undefined ? undefined : (found.loaded.rss - found.idle.rss) / found.connections / KIB;
  };
  const back = (scenario: 'h1' | 'tls') => {
    const found = of(scenario);
    return found === undefined ? undefined : found.after.rss / found.idle.rss;
  };
  const anonymous = of('h1')?.idle.anonymous;
  const pss = results.crowds.find((one) => one.peer === SUBJECT)?.each.pss;
  const mib = (bytes: number | undefined) => (bytes === undefined ? undefined : bytes / MIB);
  return [
    verdict('memory per idle connection, h1', 'KiB', { limit: 2, measured: perConnection('h1') }),
    verdict('memory per idle connection, TLS', 'KiB', { limit: 16, measured: perConnection('tls') }),
    verdict('memory per idle connection, h2', 'KiB', { limit: 6, measured: perConnection('h2') }),
    verdict('RSS after the connections closed, h1, to before', '×', { limit: 1.2, measured: back('h1') }),
    verdict('RSS after the connections closed, TLS, to before', '×', { limit: 1.2, measured: back('tls') }),
    verdict('private (anonymous) memory, idle', 'MiB', { limit: 12, measured: mib(anonymous) }),
    verdict('PSS of each of several idle processes', 'MiB', { limit: 22, measured: mib(pss) }),
  ];
}

/** "Flat" is taken as: no more than a tenth above ten routes. */
function routesVerdict(results: Results): Verdict {
  const of = (count: number) => cpuPoints(results.routes.find((one) => one.routes === count)?.samples ?? []);
  const measured = median(ratios(of(100_000), of(10)));
  return verdict('CPU per request at 100,000 routes, to 10', '×', { limit: 1.1, measured });
}

/** The dearest of those whose name fits. */
function decisionVerdicts({ decisions }: Results): Verdict[] {
  const dearest = (fits: RegExp): number | undefined => {
    const costs = decisions.filter(({ name }) => fits.test(name)).map(({ value }) => value);
    return costs.length === 0 ? undefined : Math.max(...costs);
  };
  const build = dearest(/^build\/maglev.*\/10000$/);
  return [
    verdict('picking one of 10,000 endpoints, the dearest way', 'ns', {
      limit: 150,
      measured: dearest(/^(even|weighted).*\/10000$/),
    }),
    verdict("building Maglev's table for 10,000 endpoints", 'ms', {
      limit: 20,
      measured: build === undefined ? undefined : build / 1e6,
    }),
    verdict('a rate limit, 10,000 keys', 'ns', { limit: 200, measured: dearest(/^rate limit, 10000 keys/) }),
    verdict('a rate limit, 1,000,000 keys at random', 'ns', {
      limit: 200,
      measured: dearest(/^rate limit, 1000000 keys/),
    }),
    verdict("memory of a rate limit's key, 1,000,000 keys", 'B', {
      limit: 64,
      measured: dearest(/^rate limit, memory of 1000000 keys/),
    }),
  ];
}

/** Ratios within a round, as between peers. */
function featuresVerdict(results: Results): Verdict {
  const of = (peer: string) => cpuOf(results, 'idle-features', peer);
  const measured = median(ratios(of('everything'), of('plain')));
  return verdict('CPU per request with everything on and idle, to all of it off', '×', {
    limit: 1.05,
    measured,
  });
}

/** The peers that success and p99 are compared with. */
const RIVALS = ['haproxy', 'envoy'] as const;

function resilienceVerdicts(results: Results): Verdict[] {
  const failed = (peer: string) => resilienceOf(results, peer, ({ overall }) => failurePercent(overall));
  const p99 = (peer: string, stage: string) =>
    resilienceOf(results, peer, (result) => stageOf(result, stage)?.p99);
  const over = (own: number | undefined, other: number | undefined) =>
    own === undefined || other === undefined ? undefined : own / other;
  const each = RIVALS.flatMap((rival) => {
    const theirs = failed(rival);
    const success = { limit: theirs ?? 0, measured: theirs === undefined ? undefined : failed(SUBJECT) };
    const tail = { limit: 1, measured: over(p99(SUBJECT, OVERALL), p99(rival, OVERALL)) };
    return [
      verdict(`requests without success while endpoints fail, to ${rival}`, '%', success),
      verdict(`p99 while endpoints fail, to ${rival}`, '×', tail),
    ];
  });
  const amplification = resilienceOf(results, SUBJECT, (result) => result.amplification);
  const slow = over(p99(SUBJECT, 'slow'), p99('direct', 'slow'));
  return [
    ...each,
    verdict('attempts per request while endpoints fail', '', { limit: 1.2, measured: amplification }),
    verdict('p99 with one slow endpoint of ten, to no proxy', '×', { limit: 0.85, measured: slow }),
  ];
}

/** The load at which the overload is judged, as a multiple of the capacity. */
const OVERLOAD = 3;

function overloadVerdicts(results: Results): Verdict[] {
  const goodput = goodputOf(results, SUBJECT, OVERLOAD);
  const peak = peakGoodput(results);
  const rounds = results.overload.filter((one) => one.peer === SUBJECT);
  const most = (of: (step: OverloadStep, result: OverloadResult) => number) => {
    const all = rounds.flatMap((one) => one.steps.map((step) => of(step, one)));
    return all.length === 0 ? undefined : Math.max(...all);
  };
  const missing = goodput === undefined || peak === undefined ? undefined : (1 - goodput / peak) * 100;
  const grown = most(({ rss }, { idleRss }) => (rss - idleRss) / MIB);
  return [
    verdict('goodput at 3 × capacity below the peak', '%', { limit: 10, measured: missing }),
    verdict('probes and admin without an answer in 1 s', '', {
      limit: 0,
      measured: most(({ unanswered }) => unanswered),
    }),
    verdict('RSS grown under 3 × capacity', 'MiB', { limit: 32, measured: grown }),
  ];
}
