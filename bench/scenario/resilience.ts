// A service of ten endpoints of which one after the other becomes slow, fails half of its requests, falls silent, crashes
// and returns, then four at a time: through each proxy, and without one. In: the peers; out: what became of the callers' requests.

import { watchOthers } from '../measure/others.js';
import { type Arrivals, perSecond, shareOf, timeToEject, timeToReadmit } from '../measure/shares.js';
import type { FaultResult, ResilienceResult } from '../report/results.js';
import { eachStand, SEED, type Stand } from './contenders.js';
import type { Context } from './scenario.js';
import { FAULTS, type Timeline, timelineOf } from './timeline.js';

const ENDPOINTS = 10;
/** Requests per second of all callers together. */
const RATE = 1000;
const FIRST_MS = 3000;
const LAST_MS = 3000;
/** Callers wait so long: longer than the proxies do. */
const GIVE_UP_MS = 3000;
/** Load before the run, which is not counted: until callers, endpoints and proxies are compiled, and have collected garbage. */
const WARM_UP_MS = 7000;
/** Until both programs have read their orders. */
const LEAD_MS = 300;
/** Runs the scenario if it was asked for. */
export async function resilience(context: Context): Promise<void> {
  const timeline = timelineOf(FAULTS, { rate: RATE, firstMs: FIRST_MS, lastMs: LAST_MS });
  await eachStand(context, { shape: 'resilience', endpoints: ENDPOINTS }, async (stand, round) => {
    context.results.resilience.push(await measure(stand, timeline, round));
  });
}

async function measure(stand: Stand, timeline: Timeline, round: number): Promise<ResilienceResult> {
  const { contender, endpoints } = stand;
  const job = {
    kinds: [{ name: 'all', path: '/', share: 1 }],
    giveUpMs: GIVE_UP_MS,
    goodMs: 1000,
    seed: SEED,
  };
  const warmUp = [{ name: 'warm-up', ms: WARM_UP_MS, rate: RATE }];
  await stand.call({ ...job, start: Date.now() + LEAD_MS, stages: warmUp });
  const others = watchOthers(stand.pids());
  const start = Date.now() + LEAD_MS;
  await endpoints.run({ start, changes: timeline.changes });
  const report = await stand.call({ ...job, start, stages: timeline.stages });
  const arrivals = await endpoints.arrivals();
  const attempts = arrivals.counts.flat().reduce((total, count) => total + count, 0);
  return {
    round,
    peer: contender.name,
    stages: report.stages.map(({ name, figures }) => ({ name, figures })),
    overall: report.overall,
    amplification: attempts / report.overall.sent,
    faults: faultsOf(timeline, arrivals),
    perSecond: perSecond(arrivals),
    latestMs: report.latestMs,
    others: others(),
  };
}

/** How each fault of a timeline was met, from what arrived at the endpoints. */
export function faultsOf(timeline: Timeline, arrivals: Arrivals): FaultResult[] {
  return timeline.faults.map(({ name, endpoint, during, after, isSeen }) => ({
    name,
    ejectMs: isSeen ? timeToEject(arrivals, endpoint, during) : undefined,
    readmitMs: timeToReadmit(arrivals, endpoint, after),
    share: isSeen ? shareOf(arrivals, endpoint, during) : undefined,
  }));
}
