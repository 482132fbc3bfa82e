// Starts a peer's plan and hands out the running thing. In: a peer, a shape, the bench; out: a target that answers.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ground, Peer, Plan, Shape } from '../peers/peer.js';
import type { Certificates } from './certificates.js';
import type { Machine } from './machine.js';
import type { Ports } from './ports.js';
import type { Fleet, Started } from './processes.js';
import { strayListener } from './sockets.js';
import type { Upstream } from './upstream.js';
import { waitForPorts } from './waiting.js';

/** Everything that scenarios share. */
export interface Bench {
  readonly folder: string;
  readonly fleet: Fleet;
  readonly ports: Ports;
  readonly machine: Machine;
  readonly certificates: Certificates;
  readonly upstream: Upstream;
  readonly upstreamH2: Upstream;
}

/** A started peer, one process or two. */
export interface Running {
  /** The peer's name; a second copy of it has a prime at the end. */
  readonly label: string;
  readonly shape: Shape;
  readonly plan: Plan;
  readonly processes: readonly Started[];
  /** All processes, descendants included. */
  pids(): number[];
}

/** How long a peer may take until it listens, in seconds. */
const START_S = 20;

let grounds = 0;

/** A folder of its own for one started peer. */
export function groundOf(bench: Bench, label: string): Ground {
  grounds += 1;
  const folder = join(bench.folder, `${grounds}-${label.replace(/[^a-z-]/g, '_')}`);
  mkdirSync(folder, { recursive: true });
  const write = (name: string, text: string) => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const { ports, certificates, upstream, upstreamH2, machine } = bench;
  return {
    folder,
    write,
    ports,
    certificates,
    upstream: upstream.port,
    upstreamTls: upstream.tlsPort ?? upstream.port,
    upstreamH2: upstreamH2.port,
    fileLimit: machine.fileLimit,
  };
}

/** The upstream that a running peer's requests come to. */
export function upstreamOf(bench: Bench, running: Running): Upstream {
  return running.shape === 'h2' ? bench.upstreamH2 : bench.upstream;
}

/** Starts a peer in a shape and waits for its ports. */
export function startPeer(bench: Bench, peer: Peer, as: { shape: Shape; label: string }): Promise<Running> {
  const ground = groundOf(bench, as.label);
  return startPlan(bench, peer.plan(as.shape, ground), {
    ...as,
    folder: ground.folder,
    seconds: START_S,
  });
}

/** Starts a plan and waits for its ports, `seconds` for each process; stops what it started when that fails. */
export async function startPlan(
  bench: Bench,
  plan: Plan,
  as: { label: string; shape: Shape; folder: string; seconds: number },
): Promise<Running> {
  const processes: Started[] = [];
  const name = as.label.replace(/[^a-z-]/g, '_');
  try {
    for (const launch of plan.launches) {
      const options = { name, folder: as.folder, core: bench.machine.proxyCore };
      const started = bench.fleet.start(launch.command, options);
      processes.push(started);
      await waitForPorts(started, launch.listens, as.seconds);
    }
  } catch (error) {
    await bench.fleet.stop(processes);
    throw error;
  }
  const { label, shape } = as;
  return { label, shape, plan, processes, pids: () => processes.flatMap((one) => one.pids()) };
}

/** What is wrong with a running peer right now: an ended process, a stray listener; undefined: nothing. */
export function faultOf(running: Running): string | undefined {
  const ended = running.processes.flatMap((one) => one.ended() ?? [])[0];
  if (ended !== undefined) return `${running.label} ended: ${ended}`;
  return strayListener(running.plan.front, running.pids());
}
