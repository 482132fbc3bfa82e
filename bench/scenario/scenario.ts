// What every scenario is given, and the peers as it may use them.

import { checkAnswers } from '../measure/check.js';
import type { BenchOptions } from '../options.js';
import type { Peer, Shape } from '../peers/peer.js';
import { endProgress, progress } from '../report/progress.js';
import { PRIME, type Results } from '../report/results.js';
import { type Bench, type Running, startPeer } from '../rig/running.js';

/** The rig, the wishes, the peers that can run here, and where findings go. */
export interface Context {
  readonly bench: Bench;
  readonly options: BenchOptions;
  readonly peers: readonly Peer[];
  readonly results: Results;
}

/** A started and checked peer. */
export interface Ready {
  readonly running: Running;
  /** What TLS was agreed. */
  readonly tls: string | undefined;
  /** The second copy of a peer. */
  readonly isCopy: boolean;
}

/** Starts and checks every peer in a shape; one that fails is noted and left out. */
export async function startEach(context: Context, shape: Shape, mark = ''): Promise<Ready[]> {
  const ready: Ready[] = [];
  for (const peer of context.peers) {
    const one = await startChecked(context, peer, { shape, label: peer.name + mark });
    if (one !== undefined) ready.push(one);
  }
  return ready;
}

/** The same, and the first of them as a second copy. */
export async function startAll(context: Context, shape: Shape): Promise<Ready[]> {
  const ready = await startEach(context, shape);
  const first = context.peers.find((peer) => peer.name === ready[0]?.running.label);
  const copy = first && (await startChecked(context, first, { shape, label: first.name + PRIME }));
  return copy === undefined ? ready : [...ready, { ...copy, isCopy: true }];
}

/** Starts one peer and checks its answers; undefined, with a note, when it fails. */
export async function startChecked(
  context: Context,
  peer: Peer,
  as: { shape: Shape; label: string },
): Promise<Ready | undefined> {
  let running: Running | undefined;
  try {
    running = await startPeer(context.bench, peer, as);
    return { running, tls: await checkAnswers(context.bench, running), isCopy: false };
  } catch (error) {
    note(context, `${as.label} (${as.shape}) left out: ${messageOf(error)}`);
    await context.bench.fleet.stop(running?.processes ?? []);
    return undefined;
  }
}

/** Stops peers. */
export async function stopAll(context: Context, ready: readonly Ready[]): Promise<void> {
  await context.bench.fleet.stop(ready.flatMap((one) => one.running.processes));
}

/** Keeps a remark for the report, and shows it now. */
export function note(context: Context, text: string): void {
  context.results.notes.push(text);
  endProgress();
  progress(`note: ${text}`);
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
