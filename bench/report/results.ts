// The shape of a result: what the scenarios fill and what table, targets, chart and JSON read.

import type { Memory } from '../measure/memory.js';
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

/** Everything that one run found. Scenarios that were not asked for are empty. */
export interface Results {
  throughput: ThroughputSeries[];
  latency: LatencySeries[];
  blocked: BlockedSeries[];
  syscalls: SyscallResult[];
  memory: MemoryResult[];
  crowds: CrowdResult[];
  routes: RoutesSeries[];
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
