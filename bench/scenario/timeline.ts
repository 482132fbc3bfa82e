// The faults of the resilience scenario: which endpoint does what, when. One timeline for all contenders. Pure.

import type { Behaviour, Change, Stage } from '../measure/behaviour.js';
import type { Span } from '../measure/shares.js';

/** An endpoint and what it does wrong. */
export interface Part {
  readonly endpoint: number;
  readonly behaviour: Behaviour;
}

/** Faults at one time. */
export interface FaultPlan {
  /** Names the stage they last. */
  readonly name: string;
  readonly parts: readonly Part[];
  /** How long they last, and how long everything is well afterwards, in milliseconds. */
  readonly ms: number;
  readonly calmMs: number;
}

/** A fault of one endpoint, and when it was. */
export interface Fault {
  /** That of its stage; where several endpoints are ill at a time, with what this one does behind a colon. */
  readonly name: string;
  readonly endpoint: number;
  /** While it lasts. */
  readonly during: Span;
  /** From its end to that of the run. */
  readonly after: Span;
  /** Whether requests to the endpoint reach it, so that its arrivals show when it was left out. */
  readonly isSeen: boolean;
}

/** What happens when. */
export interface Timeline {
  readonly stages: readonly Stage[];
  readonly changes: readonly Change[];
  readonly faults: readonly Fault[];
  /** In milliseconds. */
  readonly length: number;
}

const SLOW: Behaviour = { kind: 'slow', addedMs: 200 };
const FAILING: Behaviour = { kind: 'failing', share: 0.5 };
const SILENT: Behaviour = { kind: 'silent' };
const DOWN: Behaviour = { kind: 'down' };

/**
 * Everything is well at first and at last; in between an endpoint after the other is ill, then four at a time. Each is ill
 * once, so that none suffers for what it did before.
 */
export const FAULTS: readonly FaultPlan[] = [
  { name: 'slow', parts: [{ endpoint: 1, behaviour: SLOW }], ms: 5000, calmMs: 3000 },
  { name: 'failing', parts: [{ endpoint: 3, behaviour: FAILING }], ms: 5000, calmMs: 3000 },
  { name: 'silent', parts: [{ endpoint: 5, behaviour: SILENT }], ms: 5000, calmMs: 3000 },
  { name: 'crash', parts: [{ endpoint: 7, behaviour: DOWN }], ms: 4000, calmMs: 3000 },
  {
    name: 'all four',
    parts: [SLOW, FAILING, SILENT, DOWN].map((behaviour, at) => ({ endpoint: at * 2, behaviour })),
    ms: 4000,
    calmMs: 2000,
  },
];

/** The stage before the first fault. */
export const WELL = 'healthy';
/** The stage after the last one. */
export const HEALED = 'healed';
/** Stages between two faults end in this. */
export const CALM = ' over';

/** Lays faults out one after the other. */
export function timelineOf(
  plans: readonly FaultPlan[],
  at: { rate: number; firstMs: number; lastMs: number },
): Timeline {
  const { rate } = at;
  const stages: Stage[] = [{ name: WELL, ms: at.firstMs, rate }];
  const changes: Change[] = [];
  const faults: Omit<Fault, 'after'>[] = [];
  let now = at.firstMs;
  for (const { name, parts, ms, calmMs } of plans) {
    const during = { from: now, to: now + ms };
    for (const { endpoint, behaviour } of parts) {
      changes.push({ at: during.from, endpoint, behaviour });
      changes.push({ at: during.to, endpoint, behaviour: { kind: 'healthy' } });
      const isSeen = behaviour.kind !== 'down';
      const full = parts.length === 1 ? name : `${name}: ${behaviour.kind}`;
      faults.push({ name: full, endpoint, during, isSeen });
    }
    stages.push({ name, ms, rate }, { name: name + CALM, ms: calmMs, rate });
    now = during.to + calmMs;
  }
  stages.push({ name: HEALED, ms: at.lastMs, rate });
  const length = now + at.lastMs;
  const withAfter = faults.map((fault) => ({ ...fault, after: { from: fault.during.to, to: length } }));
  return { stages, changes, faults: withAfter, length };
}
