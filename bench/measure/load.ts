// The load of a window, whichever program makes it: wrk for HTTP/1.1, h2load for HTTP/2, ghz for gRPC streams. In: what to
// ask for, and where; out: a run that can be stopped, and what it says of itself.

import type { ChildProcess } from 'node:child_process';
import { SNI_NAME } from '../peers/peer.js';
import type { Bench, Running } from '../rig/running.js';
import { startGhz } from './ghz.js';
import { startH2load } from './h2load.js';
import { startWrk } from './wrk.js';

/** What a load reports of a whole run. */
export interface LoadReport {
  readonly requests: number;
  /** Connections refused, reads and writes that failed, timeouts. */
  readonly socketErrors: number;
  /** Answers with a status of 400 or above, and gRPC calls that failed. */
  readonly badStatus: number;
}

/** A running load. */
export interface LoadRun {
  readonly pid: number;
  /** Ends the load, or waits for its end; its report. Rejects when it failed, or ended by itself before. */
  stop(): Promise<LoadReport>;
}

/** Hands a started process to whoever ends it, should nobody else. */
export type Track = (child: ChildProcess) => void;

/** The load of a window; times in seconds. */
export interface Load {
  /** Of the URL; for gRPC, `/package.Service/Method`. */
  readonly path: string;
  readonly connections: number;
  readonly warmUp: number;
  readonly duration: number;
  /** `wrk` where nothing is said. */
  readonly program?: 'wrk' | 'h2load' | 'ghz';
  /** wrk: a Lua script with the requests. */
  readonly script?: string;
  /** Header lines. */
  readonly headers?: readonly string[];
  /** h2load: requests at a time on each connection. */
  readonly streams?: number;
  /** h2load: a file that every request has as its body. */
  readonly body?: string;
  /** ghz: messages of each call, which count as requests. */
  readonly messages?: number;
  /** Requests that the peer may make of its own accord during the run: health checks. */
  readonly probes?: number;
}

/** The most requests that the upstream can have seen beyond those answered when a load has stopped. */
export function inFlight(load: Load): number {
  return load.connections * (load.streams ?? 1) * (load.messages ?? 1) + (load.probes ?? 0);
}

/** Starts the load of a running peer on the load's core. */
export function startLoad(bench: Bench, running: Running, load: Load): LoadRun {
  const core = bench.machine.loadCore;
  const { plan, shape } = running;
  const program = load.program ?? 'wrk';
  const track: Track = (child) => void bench.fleet.adopt(child, program);
  const host = shape === 'sni' ? SNI_NAME : '127.0.0.1';
  const url = `${plan.secure ? 'https' : 'http'}://${host}:${plan.front}${load.path}`;
  switch (program) {
    case 'wrk':
      return startWrk({ ...load, url, script: load.script, core }, track);
    case 'h2load':
      return startH2load({ ...load, url, core }, track);
    case 'ghz':
      return startGhz({ ...load, port: plan.front, folder: bench.folder, core }, track);
  }
}
