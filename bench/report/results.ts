// The shape of a result: what the scenarios fill and what table, targets, chart and JSON read.

import type { Memory } from '../measure/memory.js';
import type { Figures } from '../measure/tally.js';
import type { Sample } from '../measure/window.js';
import type { ScenarioName } from '../options.js';
import type { Point } from './statistics.js';

/** The windows of one peer in one throughput scenario. */
export interface ThroughputSeries {
  readonly scenario: ScenarioName;
  /** The peer's name; with a prime at the end, its second copy; with ` h2`, the pair that speaks HTTP/2 in between. */
  readonly peer: string;
  /** TLS version and cipher, where there is TLS. */
  readonly tls: string | undefined;
  readonly samples: readonly Sample[];
}

/** Latencies of one peer, in microseconds; peer `direct` is the upstream without a proxy. */
export interface LatencySeries {
  /** `one`: one connection, closed loop. `rate`: 1,000 requests per second, open loop. */
  readonly kind: 'one' | 'rate';
  readonly peer: string;
  readonly p50: readonly Point[];
  readonly p99: readonly Point[];
}

/** Latencies in microseconds at 1,000 requests per second of an embedded proxy, its JavaScript thread free or held. */
export interface BlockedSeries {
  readonly held: boolean;
  readonly p50: readonly Point[];
  readonly p99: readonly Point[];
}

/** System calls of one peer. */
export interface SyscallResult {
  readonly scenario: 'h1' | 'tls';
  readonly peer: string;
  readonly perRequest: number;
  readonly requests: number;
  /** Per request, by name; those below 0.005 left out. */
  readonly byName: Readonly<Record<string, number>>;
}

/** Memory of one peer, in bytes. */
export interface MemoryResult {
  readonly scenario: 'h1' | 'tls' | 'h2';
  readonly peer: string;
  /** After a few requests. */
  readonly idle: Memory;
  /** With the connections open. */
  readonly loaded: Memory;
  /** Some seconds after they were closed. */
  readonly after: Memory;
  /** Connections that were really open at the reading. */
  readonly connections: number;
}

/** Memory of several idle processes of one peer at once: the mean of each, in bytes. */
export interface CrowdResult {
  readonly peer: string;
  readonly processes: number;
  readonly each: Memory;
}

/** Windows of Tulle with a number of routes. */
export interface RoutesSeries {
  readonly routes: number;
  readonly samples: readonly Sample[];
}

/** What one decision costs. */
export interface Decision {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** How one fault was met. Times in milliseconds; undefined: not in time, or not seen. */
export interface FaultResult {
  readonly name: string;
  /** From its beginning until the endpoint had less than a tenth of its fair share. */
  readonly ejectMs: number | undefined;
  /** From its end until the endpoint had half of its fair share. */
  readonly readmitMs: number | undefined;
  /** The endpoint's part of its fair share while the fault lasted; undefined where its requests never arrive. */
  readonly share: number | undefined;
}

/** A service of ten endpoints, through one contender, over all faults. */
export interface ResilienceResult {
  readonly round: number;
  /** The peer; `direct`: callers that take the endpoints by turns, and never a second one. */
  readonly peer: string;
  readonly stages: readonly { readonly name: string; readonly figures: Figures }[];
  readonly overall: Figures;
  /** Requests that endpoints received per request of a caller. */
  readonly amplification: number;
  readonly faults: readonly FaultResult[];
  /** What each endpoint received in each second: shows where requests went when the figures above surprise. */
  readonly perSecond: readonly (readonly number[])[];
  /** How far the sender fell behind its schedule at worst, in milliseconds. */
  readonly latestMs: number;
  /** Processor time, in cores, used meanwhile by what is not part of the measurement. */
  readonly others: number;
}

/** One load of the overload scenario. */
export interface OverloadStep {
  /** The load, as a multiple of the upstream's capacity. */
  readonly load: number;
  /** Answers of 2xx within a second, per second. */
  readonly goodput: number;
  /** The first two seconds of the load, which are not counted: a proxy may be finding out how much is good. */
  readonly settling: Figures;
  readonly figures: Figures;
  /** Of the requests that are to be turned away last. */
  readonly high: Figures;
  /** Questions to the proxy about itself meanwhile, and those not answered within a second. */
  readonly asked: number;
  readonly unanswered: number;
  /** The slowest answer to one, in milliseconds. */
  readonly slowestMs: number;
  /** The most resident memory that was seen, in bytes. */
  readonly rss: number;
}

/** An upstream with too much to do, through one contender. */
export interface OverloadResult {
  readonly round: number;
  readonly peer: string;
  /** Requests per second that the upstream can answer. */
  readonly capacity: number;
  /** Resident memory before the first load, in bytes. */
  readonly idleRss: number;
  /** Processor time, in cores, used meanwhile by what is not part of the measurement. */
  readonly others: number;
  readonly steps: readonly OverloadStep[];
}

/** Everything that one run found. Scenarios that were not asked for are empty. */
export interface Results {
  throughput: ThroughputSeries[];
  latency: LatencySeries[];
  blocked: BlockedSeries[];
  syscalls: SyscallResult[];
  memory: MemoryResult[];
  crowds: CrowdResult[];
  routes: RoutesSeries[];
  decisions: Decision[];
  resilience: ResilienceResult[];
  overload: OverloadResult[];
  /** What a reader should know: peers left out, void samples, scenarios that failed. */
  notes: string[];
}

/** An empty result. */
export function emptyResults(): Results {
  return {
    throughput: [],
    latency: [],
    blocked: [],
    syscalls: [],
    memory: [],
    crowds: [],
    routes: [],
    decisions: [],
    resilience: [],
    overload: [],
    notes: [],
  };
}

/** The CPU microseconds per request of a series, void samples left out. */
export function cpuPoints(samples: readonly Sample[]): Point[] {
  return samples.flatMap((sample) =>
    sample.void === undefined ? [{ round: sample.round, value: sample.cpuUs }] : [],
  );
}

/** The mark of a pair that speaks HTTP/2 in between. */
export const OVER_H2 = ' h2';

/** The mark of a peer's second copy. */
export const PRIME = '′';
