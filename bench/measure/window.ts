// One measured window: load is started, warmed up, then CPU time and the upstream's request count are read at both ends.
// Connection set-up and handshakes are outside. In: a running peer and a load; out: a sample, void when anything was odd.

import { type Bench, faultOf, type Running, upstreamOf } from '../rig/running.js';
import { pause } from '../rig/tools.js';
import type { Upstream, UpstreamCount } from '../rig/upstream.js';
import { busyMicroseconds, type CpuTime, cpuMicroseconds, cpuTime } from './cpu.js';
import { inFlight, type Load, type LoadReport, startLoad } from './load.js';

/** One window of one peer. */
export interface Sample {
  readonly round: number;
  /** CPU time of all the peer's processes per request that the upstream answered, in microseconds. */
  readonly cpuUs: number;
  /** Requests per second. */
  readonly rate: number;
  /** Share of the proxy's core that the peer used, 0 to 1: below 0.95 the load was the bottleneck. */
  readonly busy: number;
  readonly requests: number;
  /** Processor time, in cores, used meanwhile by what is not part of the measurement: above 0.1 the machine was busy. */
  readonly others: number;
  /** New upstream connections per request. */
  readonly newConnections: number;
  /** Why the sample does not count. */
  readonly void?: string;
}

/** At one connection the slowest pair answers ten times as many in the shortest window of a run that counts. */
const FEWEST = 200;

interface Reading {
  readonly at: number;
  readonly cpu: CpuTime;
  /** Of the load, the upstream and this program. */
  readonly rig: CpuTime;
  /** Of everything on the machine, in microseconds. */
  readonly machine: number;
  readonly count: UpstreamCount;
}

/** Measures one window. */
export async function measureWindow(
  bench: Bench,
  running: Running,
  ask: { load: Load; round: number },
): Promise<Sample> {
  const { load, round } = ask;
  const fault = faultOf(running);
  if (fault !== undefined) return voidSample(round, fault);
  const pids = running.pids();
  const upstream = upstreamOf(bench, running);
  const first = await upstream.count();
  const run = startLoad(bench, running, load);
  await pause(load.warmUp);
  const parts = { peer: pids, rig: [run.pid, process.pid, ...upstream.pids()] };
  const before = await read(upstream, parts);
  await pause(load.duration);
  const after = await read(upstream, parts);
  const report = await run.stop();
  await pause(0.05);
  const last = await upstream.count();
  const all = last.requests - first.requests;
  const problem = problemOf(report, { upstream: all, inFlight: inFlight(load) }) ?? faultOf(running);
  return sampleOf(round, { before, after }, problem);
}

async function read(
  upstream: Upstream,
  parts: { peer: readonly number[]; rig: readonly number[] },
): Promise<Reading> {
  const count = await upstream.count();
  const cpu = cpuTime(parts.peer);
  return { at: performance.now(), cpu, rig: cpuTime(parts.rig), machine: busyMicroseconds(), count };
}

function sampleOf(
  round: number,
  ends: { before: Reading; after: Reading },
  problem: string | undefined,
): Sample {
  const { before, after } = ends;
  const requests = after.count.requests - before.count.requests;
  const micros = cpuMicroseconds(before.cpu, after.cpu);
  const elapsedUs = (after.at - before.at) * 1000;
  const sample = {
    round,
    cpuUs: micros / requests,
    rate: (requests / elapsedUs) * 1e6,
    busy: micros / elapsedUs,
    requests,
    others:
      Math.max(0, after.machine - before.machine - micros - cpuMicroseconds(before.rig, after.rig)) /
      elapsedUs,
    newConnections: (after.count.connections - before.count.connections) / requests,
  };
  const why = problem ?? tooFew(requests);
  if (why === undefined) return sample;
  return requests > 0 ? { ...sample, void: why } : voidSample(round, why);
}

/** A window with next to no requests measures what the peer does otherwise: the load was held up, or had not begun. */
export function tooFew(requests: number): string | undefined {
  return requests < FEWEST ? `only ${requests} requests were answered in the window` : undefined;
}

function voidSample(round: number, why: string): Sample {
  return { round, cpuUs: 0, rate: 0, busy: 0, requests: 0, others: 0, newConnections: 0, void: why };
}

/**
 * Why a run does not count: any error, or a count at the upstream that is not the client's. The two may differ by the
 * requests under way when the load stopped.
 */
export function problemOf(
  report: LoadReport,
  seen: { upstream: number; inFlight: number },
): string | undefined {
  if (report.badStatus > 0) return `${report.badStatus} answers were not 2xx`;
  if (report.socketErrors > 0) return `${report.socketErrors} socket errors`;
  if (seen.upstream < report.requests)
    return `${report.requests - seen.upstream} answers did not come from the upstream`;
  const extra = seen.upstream - report.requests;
  return extra > seen.inFlight ? `${extra} more requests at the upstream than answers` : undefined;
}
