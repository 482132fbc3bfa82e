// Memory: idle, with many idle connections, after they are gone, and of several idle processes side by side.

import type { IdleJob, IdleReport } from '../measure/idle-program.js';
import { type Memory, memoryOf } from '../measure/memory.js';
import { Program } from '../measure/program.js';
import type { Peer } from '../peers/peer.js';
import { progress } from '../report/progress.js';
import type { Running } from '../rig/running.js';
import { pause } from '../rig/tools.js';
import { type Context, messageOf, note, startChecked, stopAll } from './scenario.js';

type Holder = Program<IdleJob | 'count' | 'close', IdleReport>;

interface Held {
  readonly running: Running;
  readonly idle: Memory;
  readonly loaded: Memory;
  readonly connections: number;
  /** Read some time after the connections were closed. */
  readonly after: Promise<Memory>;
}

/** Opening so many connections, TLS included, takes no longer than this. */
const OPENING_S = 120;

/** Runs the scenario if it was asked for. */
export async function memory(context: Context): Promise<void> {
  if (!context.options.scenarios.includes('memory')) return;
  const held = { h1: await connections(context, 'h1'), tls: await connections(context, 'tls') };
  for (const scenario of ['h1', 'tls'] as const) await settled(context, scenario, held[scenario]);
  for (const peer of context.peers) await crowd(context, peer);
}

/** Each peer in turn holds the connections; nobody waits yet for what comes some time after closing them. */
async function connections(context: Context, scenario: 'h1' | 'tls'): Promise<Held[]> {
  const { options } = context;
  const shape = scenario === 'tls' ? 'tls' : 'http';
  const held: Held[] = [];
  for (const peer of context.peers) {
    progress(`memory (${scenario})  ${peer.name} with ${options.idleConnections} connections`);
    const ready = await startChecked(context, peer, { shape, label: peer.name });
    if (ready === undefined) continue;
    const found = await hold(context, ready.running).catch((error: unknown) =>
      note(context, `memory (${scenario}) of ${peer.name} failed: ${messageOf(error)}`),
    );
    if (found === undefined) await stopAll(context, [ready]);
    else held.push(found);
  }
  return held;
}

/** Takes the last readings when they are there, and stops the peers. */
async function settled(context: Context, scenario: 'h1' | 'tls', held: readonly Held[]): Promise<void> {
  const { options, results, bench } = context;
  for (const { running, after, ...rest } of held) {
    progress(`memory (${scenario})  waiting ${options.settle} s after the connections closed`);
    results.memory.push({ scenario, peer: running.label, ...rest, after: await after });
  }
  await bench.fleet.stop(held.flatMap((one) => one.running.processes));
}

async function hold(context: Context, running: Running): Promise<Held> {
  const { bench, options } = context;
  await pause(0.5);
  const idle = memoryOf(running.pids());
  const holder: Holder = new Program(bench.fleet, 'idle-program', { core: bench.machine.loadCore });
  try {
    const target = { port: running.plan.front, path: '/small', secure: running.plan.secure };
    const opened = await holder.ask({ target, connections: options.idleConnections }, { seconds: OPENING_S });
    await pause(0.5);
    const loaded = memoryOf(running.pids());
    const { open, failure } = await holder.ask('count', { seconds: 10 });
    const problem = failure ?? opened.failure;
    if (problem !== undefined)
      throw new Error(`${open} of ${options.idleConnections} connections: ${problem}`);
    if (open < options.idleConnections)
      throw new Error(`only ${open} of ${options.idleConnections} stayed open`);
    await holder.ask('close', { seconds: 10 });
    const after = pause(options.settle).then(() => memoryOf(running.pids()));
    after.catch(() => {}); // told when it is awaited
    return { running, idle, loaded, connections: open, after };
  } finally {
    await bench.fleet.stop([holder.started]);
  }
}

/** Several processes of one peer at once, each having answered a few requests: what one costs beside the others. */
async function crowd(context: Context, peer: Peer): Promise<void> {
  const { options, results } = context;
  const count = options.idleProcesses;
  const all = [];
  for (let at = 1; at <= count; at += 1) {
    progress(`memory  ${count} idle processes of ${peer.name}: ${at}`);
    const ready = await startChecked(context, peer, { shape: 'http', label: peer.name });
    if (ready !== undefined) all.push(ready);
  }
  await pause(1);
  if (all.length === count) {
    const together = memoryOf(all.flatMap((one) => one.running.pids()));
    const each = {
      rss: together.rss / count,
      pss: together.pss / count,
      anonymous: together.anonymous / count,
    };
    results.crowds.push({ peer: peer.name, processes: count, each });
  }
  await stopAll(context, all);
}
