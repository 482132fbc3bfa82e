// A program of its own (forked, on the load's core) that measures latencies. In: a job by message; out: `begun` when the
// warm-up is over, then percentiles.
//
// `one`: one connection, the next request when the answer is there. `rate`: an open loop. Requests become due on a fixed
// schedule whatever the answers do; one that finds every connection busy waits, and its time counts from when it was due.
// So nothing is omitted in coordination with a slow proxy, and no correction is needed afterwards. Only the sender's own
// timer, which may be late by up to a millisecond, is left out: it is as late towards every peer.

import { build } from 'hdr-histogram-js';
import { Lane, type LaneTarget } from './lane.js';
import { BEGUN } from './program.js';

/** What to measure. */
export interface LatencyJob {
  readonly kind: 'one' | 'rate';
  readonly target: LaneTarget;
  readonly seconds: number;
  /** `rate` only: requests per second. */
  readonly rate: number;
}

/** What was measured, in microseconds, or why not. */
export type LatencyReport =
  | { readonly p50: number; readonly p99: number; readonly max: number; readonly count: number }
  | { readonly failure: string };

/** Connections of the open loop: enough that a stall of the proxy is met by the queue and not by connecting. */
const LANES = 32;
/** Requests before the measurement, per connection. */
const WARM_UP = 20;
/** No run waits longer than this for its last answers. */
const PATIENCE_MS = 5000;

function histogram() {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60_000_000,
    numberOfSignificantValueDigits: 3,
  });
}

function report(found: ReturnType<typeof histogram>): LatencyReport {
  return {
    p50: found.getValueAtPercentile(50),
    p99: found.getValueAtPercentile(99),
    max: found.maxValue,
    count: found.totalCount,
  };
}

function microseconds(since: bigint): number {
  return Math.max(1, Number(process.hrtime.bigint() - since) / 1000);
}

async function closedLoop(job: LatencyJob): Promise<LatencyReport> {
  const lane = await Lane.open(job.target);
  const found = histogram();
  for (let at = 0; at < WARM_UP * 5; at += 1) await lane.request();
  process.send?.(BEGUN);
  const end = performance.now() + job.seconds * 1000;
  while (performance.now() < end) {
    const sent = process.hrtime.bigint();
    await lane.request();
    found.recordValue(microseconds(sent));
  }
  lane.close();
  return report(found);
}

async function openLoop(job: LatencyJob): Promise<LatencyReport> {
  const lanes = await Promise.all(Array.from({ length: LANES }, () => Lane.open(job.target)));
  for (let at = 0; at < WARM_UP; at += 1) await Promise.all(lanes.map((lane) => lane.request()));
  const found = histogram();
  process.send?.(BEGUN);
  const total = Math.round(job.seconds * job.rate);
  const waiting: bigint[] = [];
  let failure: Error | undefined;
  let answered = 0;
  const free = [...lanes];
  const send = (lane: Lane, due: bigint) => {
    lane.ask((error) => {
      failure ??= error;
      answered += 1;
      found.recordValue(microseconds(due));
      const next = waiting.shift();
      if (next === undefined) free.push(lane);
      else send(lane, next);
    });
  };
  await schedule({ total, rate: job.rate }, () => {
    const now = process.hrtime.bigint();
    const lane = free.pop();
    if (lane === undefined) waiting.push(now);
    else send(lane, now);
    return failure === undefined;
  });
  const deadline = performance.now() + PATIENCE_MS;
  while (answered < total && failure === undefined && performance.now() < deadline) await later(5);
  for (const lane of lanes) lane.close();
  if (failure !== undefined) return { failure: failure.message };
  return answered < total ? { failure: `${total - answered} requests got no answer` } : report(found);
}

/** Calls `fire` once per request as it falls due; all that are due together when the timer was late. */
function schedule(plan: { total: number; rate: number }, fire: () => boolean): Promise<void> {
  const start = performance.now();
  let fired = 0;
  return new Promise((resolve) => {
    const tick = () => {
      const due = Math.min(plan.total, Math.floor(((performance.now() - start) * plan.rate) / 1000));
      while (fired < due) {
        fired += 1;
        if (!fire()) return resolve();
      }
      if (fired >= plan.total) return resolve();
      setTimeout(tick, 1);
    };
    tick();
  });
}

function later(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

process.on('message', (job: LatencyJob) => {
  (job.kind === 'one' ? closedLoop(job) : openLoop(job))
    .catch(
      (error: unknown): LatencyReport => ({
        failure: error instanceof Error ? error.message : String(error),
      }),
    )
    .then((answer) => process.send?.(answer))
    .catch(() => process.exit(1));
});
process.on('disconnect', () => process.exit());
