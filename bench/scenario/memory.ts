// Memory: idle, with many idle connections, after they are gone, and of several idle processes side by side.

import type { IdleJob, IdleReport } from '../measure/idle-program.js';
import { type Memory, memoryOf } from '../measure/memory.js';
import { Program } from '../measure/program.js';
import type { Peer, Shape } from '../peers/peer.js';
import { progress } from '../report/progress.js';
import type { MemoryResult } from '../report/results.js';
import type { Running } from '../rig/running.js';
import { pause } from '../rig/tools.js';
import { type Context, messageOf, note, startChecked, stopAll } from './scenario.js';

type Kind = MemoryResult['scenario'];
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

const SHAPES = { h1: 'http', tls: 'tls', h2: 'h2-h1' } as const satisfies Record<Kind, Shape>;

/** Runs those of the two scenarios that were asked for, `memory` and `memory-h2`. */
export async function memory(context: Context): Promise<void> {
  const asked = context.options.scenarios;
  const kinds: readonly Kind[] = [
    ...(asked.includes('memory') ? (['h1', 'tls'] as const) : []),
    ...(asked.includes('memory-h2') ? (['h2'] as const) : []),
  ];
  const held = new Map<Kind, Held[]>();
  for (const kind of kinds) held.set(kind, await connections(context, kind));
  for (const [kind, all] of held) await settled(context, kind, all);
  if (!asked.includes('memory')) return;
  for (const peer of context.peers) await crowd(context, peer);
}

function countOf({ options }: Context, kind: Kind): number {
  return kind === 'h2' ? options.idleHttp2Connections : options.idleConnections;
}

/** Each peer in turn holds the connections; nobody waits yet for what comes some time after closing them. */
async function connections(context: Context, scenario: Kind): Promise<Held[]> {
  const held: Held[] = [];
  for (const peer of context.peers) {
    progress(`memory (${scenario})  ${peer.name} with ${countOf(context, scenario)} connections`);
    const ready = await startChecked(context, peer, { shape: SHAPES[scenario], label: peer.name });
    if (ready === undefined) continue;
    const found = await hold(context, scenario, ready.running).catch((error: unknown) =>
      note(context, `memory (${scenario}) of ${peer.name} failed: ${messageOf(error)}`),
    );
    if (found === undefined) await stopAll(context, [ready]);
    else held.push(found);
  }
  return held;
}

/** Takes the last readings when they are there, and stops the peers. */
async function settled(context: Context, scenario: Kind, held: readonly Held[]): Promise<void> {
  const { options, results, bench } = context;
  for (const { running, after, ...rest } of held) {
    progress(`memory (${scenario})  waiting ${options.settle} s after the connections closed`);
    results.memory.push({ scenario, peer: running.label, ...rest, after: await after });
  }
  await bench.fleet.stop(held.flatMap((one) => one.running.processes));
}

async function hold(context: Context, kind: Kind, running: Running): Promise<Held> {
  const { bench, options } = context;
  const wanted = countOf(context, kind);
  await pause(0.5);
  const idle = memoryOf(running.pids());
  const holder: Holder = new Program(bench.fleet, 'idle-program', { core: bench.machine.loadCore });
  try {
    const target = { port: running.plan.front, path: '/small', secure: running.plan.secure };
    const job = { target, connections: wanted, isHttp2: kind === 'h2' };
    const opened = await holder.ask(job, { seconds: OPENING_S });
    await pause(0.5);
    const loaded = memoryOf(running.pids());
    const { open, failure } = await holder.ask('count', { seconds: 10 });
    const problem = failure ?? opened.failure;
    if (problem !== undefined) throw new Error(`${open} of ${wanted} connections: ${problem}`);
    if (open < wanted) throw new Error(`only ${open} of ${wanted} stayed open`);
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
