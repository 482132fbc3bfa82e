// An upstream of known capacity at 0.8, 1 and 3 times of it: through each proxy, and without one. In: the peers; out:
// answers in good time, and whether the proxy still answers for itself.

import { type Asked, keepAsking } from '../measure/asking.js';
import type { CallKind } from '../measure/behaviour.js';
import { memoryOf } from '../measure/memory.js';
import { watchOthers } from '../measure/others.js';
import { HIGH_PATH } from '../peers/service.js';
import type { OverloadResult, OverloadStep } from '../report/results.js';
import { pause } from '../rig/tools.js';
import { type Contender, eachStand, SEED, type Stand } from './contenders.js';
import type { Context } from './scenario.js';

/** 500 requests per second. */
const CAPACITY = { workers: 4, serviceMs: 8 };
const PER_SECOND = (CAPACITY.workers * 1000) / CAPACITY.serviceMs;

/** Multiples of the capacity. */
const LOADS = [0.8, 1, 3] as const;
/** Each load: what is not counted, because the load has just changed, and what is. */
const SETTLE_MS = 2000;
const COUNTED_MS = 6000;

const GIVE_UP_MS = 3000;
const GOOD_MS = 1000;
const LEAD_MS = 300;
/** An upstream that has not worked its queue off by then takes it into the next load. */
const DRAIN_S = 45;

const KINDS: readonly CallKind[] = [
  { name: 'high', path: HIGH_PATH, share: 0.1 },
  { name: 'normal', path: '/', share: 0.9 },
];

/** Runs the scenario if it was asked for. */
export async function overload(context: Context): Promise<void> {
  const as = { shape: 'overload', endpoints: 1, capacity: CAPACITY } as const;
  await eachStand(context, as, async (stand, round) => {
    context.results.overload.push(await measure(stand, round));
  });
}

async function measure(stand: Stand, round: number): Promise<OverloadResult> {
  const { contender } = stand;
  const pids = contender.proxy?.running.pids() ?? [];
  const idleRss = memoryOf(pids).rss;
  const others = watchOthers(stand.pids());
  const steps: OverloadStep[] = [];
  for (const load of LOADS) {
    steps.push(await step(stand, load));
    await drained(stand);
  }
  return { round, peer: contender.name, capacity: PER_SECOND, idleRss, others: others(), steps };
}

async function step(stand: Stand, load: number): Promise<OverloadStep> {
  const rate = load * PER_SECOND;
  const asking = startAsking(stand.contender);
  const report = await stand.call({
    start: Date.now() + LEAD_MS,
    stages: [
      { name: 'settle', ms: SETTLE_MS, rate },
      { name: 'counted', ms: COUNTED_MS, rate },
    ],
    kinds: KINDS,
    giveUpMs: GIVE_UP_MS,
    goodMs: GOOD_MS,
    seed: SEED,
  });
  const asked = await asking.stop();
  const counted = report.stages.find(({ name }) => name === 'counted');
  const figures = counted?.figures ?? report.overall;
  return {
    load,
    goodput: (figures.good * 1000) / COUNTED_MS,
    settling: report.stages.find(({ name }) => name === 'settle')?.figures ?? report.overall,
    figures,
    high: counted?.kinds.high ?? figures,
    ...asked,
  };
}

function startAsking({ proxy }: Contender): { stop(): Promise<Asked> } {
  if (proxy === undefined)
    return { stop: () => Promise.resolve({ asked: 0, unanswered: 0, slowestMs: 0, rss: 0 }) };
  const { port, health, metrics } = proxy.admin;
  return keepAsking({ port, paths: [health, metrics], pids: proxy.running.pids() });
}

/** Waits until the upstream has worked its queue off. */
async function drained(stand: Stand): Promise<void> {
  const end = performance.now() + DRAIN_S * 1000;
  while ((await stand.endpoints.load()) > 0 && performance.now() < end) await pause(0.2);
}
