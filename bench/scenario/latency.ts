// Latency that a proxy adds: the upstream directly, then every peer, in turn each round; at one connection, and at 1,000
// requests per second.

import type { LaneTarget } from '../measure/lane.js';
import type { LatencyJob, LatencyReport } from '../measure/latency-program.js';
import { Program } from '../measure/program.js';
import { bar, progress } from '../report/progress.js';
import type { LatencySeries } from '../report/results.js';
import type { Point } from '../report/statistics.js';
import { type Context, note, startAll, stopAll } from './scenario.js';

/** Requests per second of the fixed-rate part. */
export const RATE = 1000;

/** The name of the series without a proxy. */
export const DIRECT = 'direct';

/** A program that measures latencies. */
export type Meter = Program<LatencyJob, LatencyReport>;

/** Growing points of one series. */
export interface Growing {
  readonly p50: Point[];
  readonly p99: Point[];
}

/** Runs the latency scenario if it was asked for. */
export async function latency(context: Context): Promise<void> {
  const { options, bench, results } = context;
  if (!options.scenarios.includes('latency')) return;
  progress('starting the peers (latency)');
  const ready = await startAll(context, 'http');
  const targets = new Map<string, LaneTarget>([
    [DIRECT, { port: bench.upstream.port, path: '/1k', secure: false }],
    ...ready.map(
      ({ running }) => [running.label, { port: running.plan.front, path: '/1k', secure: false }] as const,
    ),
  ]);
  const meter: Meter = new Program(bench.fleet, 'latency-program', { core: bench.machine.loadCore });
  for (const kind of ['one', 'rate'] as const) {
    const series = new Map<string, Growing>(
      [...targets.keys()].map((label) => [label, { p50: [], p99: [] }]),
    );
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const [label, target] of targets) {
        progress(`${bar((round - 1) / options.rounds)} latency (${kind})  round ${round}  ${label}`);
        const job = { kind, target, seconds: secondsOf(options.duration, kind), rate: RATE };
        const into = series.get(label);
        if (into !== undefined) await point(context, meter, { job, into, round, label });
      }
    }
    results.latency.push(...[...series].map(([peer, points]): LatencySeries => ({ kind, peer, ...points })));
  }
  await bench.fleet.stop([meter.started]);
  await stopAll(context, ready);
}

/** The fixed rate needs enough requests for a p99, the closed loop is quicker. */
function secondsOf(duration: number, kind: 'one' | 'rate'): number {
  return kind === 'one' ? Math.max(0.5, duration / 2) : Math.max(1, duration);
}

/** Measures once and keeps the percentiles, or notes the failure. */
export async function point(
  context: Context,
  meter: Meter,
  ask: { job: LatencyJob; into: Growing; round: number; label: string; onBegun?: () => void },
): Promise<void> {
  const { job, into, round, label, onBegun = () => {} } = ask;
  const report = await meter.ask(job, { seconds: job.seconds + 20, onBegun });
  if ('failure' in report) {
    note(context, `latency of ${label}, round ${round}, is void: ${report.failure}`);
    return;
  }
  into.p50.push({ round, value: report.p50 });
  into.p99.push({ round, value: report.p99 });
}
