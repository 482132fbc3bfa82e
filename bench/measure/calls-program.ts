// A program of its own (forked, on the load's core): the callers of the resilience and overload scenarios. In: a job by
// message; out: figures for each stage, kind of request, and all together.
//
// An open loop, as in latency-program.ts: requests become due on a fixed schedule whatever the answers do, and are sent at
// once, on as many connections as that takes. Only the sender's own timer is left out of their times. Several targets are endpoints without a proxy in between: the callers take them by turns.

import type { CallKind, Stage, StartTime } from './behaviour.js';
import { Caller, type Outcome } from './caller.js';
import { seeded } from './random.js';
import { type Figures, Tally } from './tally.js';

/** What to call. */
export interface CallsJob {
  readonly start: StartTime;
  /** One after the other, without a break. */
  readonly stages: readonly Stage[];
  readonly kinds: readonly CallKind[];
  /** Ports: that of a proxy, or those of all endpoints. */
  readonly targets: readonly number[];
  /** Callers wait so long for an answer, in milliseconds. */
  readonly giveUpMs: number;
  /** Up to here an answer is in good time, in milliseconds. */
  readonly goodMs: number;
  readonly seed: number;
}

/** What became of the requests. */
export interface CallsReport {
  /** By stage, in their order. */
  readonly stages: readonly {
    readonly name: string;
    readonly figures: Figures;
    readonly kinds: KindFigures;
  }[];
  readonly overall: Figures;
  /** The most that a request was sent after it was due, in milliseconds: how far the sender itself fell behind. */
  readonly latestMs: number;
}

/** Figures by kind of request. */
export type KindFigures = Readonly<Record<string, Figures>>;

const TICK_MS = 1;

/** Tallies of one stage. */
interface StageTally {
  readonly stage: Stage;
  readonly all: Tally;
  readonly kinds: ReadonlyMap<string, Tally>;
}

async function call(job: CallsJob): Promise<CallsReport> {
  const callers = job.targets.map((port) => new Caller(port, job.giveUpMs));
  const tallies = job.stages.map(
    (stage): StageTally => ({
      stage,
      all: new Tally(job.goodMs),
      kinds: new Map(job.kinds.map(({ name }) => [name, new Tally(job.goodMs)])),
    }),
  );
  const overall = new Tally(job.goodMs);
  const random = seeded(job.seed);
  let sent = 0;
  let answered = 0;
  let latestMs = 0;
  await schedule(job, (at, due) => {
    const caller = callers[sent % callers.length];
    const tally = tallies[at];
    const kind = kindAt(job.kinds, random());
    if (caller === undefined || tally === undefined || kind === undefined) return;
    sent += 1;
    const since = performance.now();
    latestMs = Math.max(latestMs, since - due);
    caller.get(kind.path, (outcome: Outcome) => {
      const latencyUs = (performance.now() - since) * 1000;
      answered += 1;
      for (const one of [overall, tally.all, tally.kinds.get(kind.name)]) one?.add(outcome, latencyUs);
    });
  });
  while (answered < sent) await later(10);
  for (const caller of callers) caller.close();
  return {
    stages: tallies.map(({ stage, all, kinds }) => ({
      name: stage.name,
      figures: all.figures(),
      kinds: Object.fromEntries([...kinds].map(([name, one]) => [name, one.figures()])),
    })),
    overall: overall.figures(),
    latestMs,
  };
}

/** The kind at a number of 0 to 1. */
function kindAt(kinds: readonly CallKind[], chance: number): CallKind | undefined {
  let below = 0;
  for (const kind of kinds) {
    below += kind.share;
    if (chance < below) return kind;
  }
  return kinds[0];
}

/** Calls `fire` with its stage and when it was due for every request; all that are due together when the timer was late. */
async function schedule(job: CallsJob, fire: (stage: number, due: number) => void): Promise<void> {
  let from = performance.now() + (job.start - Date.now());
  await later(Math.max(0, from - performance.now()));
  for (const [at, { ms, rate }] of job.stages.entries()) {
    const total = Math.round((ms * rate) / 1000);
    for (let fired = 0; fired < total; ) {
      const due = Math.min(total, Math.floor(((performance.now() - from) * rate) / 1000) + 1);
      for (; fired < due; fired += 1) fire(at, from + (fired * 1000) / rate);
      if (fired < total) await later(TICK_MS);
    }
    from += ms;
    await later(Math.max(0, from - performance.now()));
  }
}

function later(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

process.on('message', (job: CallsJob) => {
  call(job)
    .catch((error: unknown) => ({ failure: error instanceof Error ? error.message : String(error) }))
    .then((answer) => process.send?.(answer))
    .catch(() => process.exit(1));
});
process.on('disconnect', () => process.exit());
