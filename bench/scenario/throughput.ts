// CPU per request and requests per second under a closed loop: all peers started, then measured in turn, A B C A B C.

import { measureWindow, type Sample } from '../measure/window.js';
import type { ScenarioName } from '../options.js';
import type { Shape } from '../peers/peer.js';
import { bar, progress } from '../report/progress.js';
import { type Context, note, type Ready, startAll, stopAll } from './scenario.js';

/** The throughput scenarios: shape, answer and connections. */
export const LOADS: ReadonlyMap<ScenarioName, { shape: Shape; path: string; connections: number }> = new Map([
  ['h1-1k-32', { shape: 'http', path: '/1k', connections: 32 }],
  ['h1-1k-256', { shape: 'http', path: '/1k', connections: 256 }],
  ['h1-16k-32', { shape: 'http', path: '/16k', connections: 32 }],
  ['h1-16k-256', { shape: 'http', path: '/16k', connections: 256 }],
  ['tls-1k-32', { shape: 'tls', path: '/1k', connections: 32 }],
  ['mtls-pair-32', { shape: 'pair', path: '/1k', connections: 32 }],
]);

/** Runs the throughput scenarios that were asked for; peers are started once per shape. */
export async function throughput(context: Context): Promise<void> {
  for (const shape of ['http', 'tls', 'pair'] satisfies Shape[]) {
    const names = context.options.scenarios.filter((name) => LOADS.get(name)?.shape === shape);
    if (names.length === 0) continue;
    progress(`starting the peers (${shape})`);
    const ready = await startAll(context, shape);
    for (const name of names) await scenario(context, name, ready);
    await stopAll(context, ready);
  }
}

async function scenario(context: Context, name: ScenarioName, ready: readonly Ready[]): Promise<void> {
  const load = LOADS.get(name);
  if (load === undefined) return;
  const { options, results } = context;
  const samples = new Map<string, Sample[]>(ready.map((one) => [one.running.label, []]));
  const steps = options.rounds * ready.length;
  let step = 0;
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const { running } of ready) {
      progress(`${bar(step / steps)} ${name}  round ${round} of ${options.rounds}  ${running.label}`);
      samples.get(running.label)?.push(await sampleOf(context, running, { ...load, round, name }));
      step += 1;
    }
  }
  for (const { running, tls } of ready) {
    results.throughput.push({
      scenario: name,
      peer: running.label,
      tls,
      samples: samples.get(running.label) ?? [],
    });
  }
}

/** One window; a void one is measured once more, and noted when it is void again. */
async function sampleOf(
  context: Context,
  running: Ready['running'],
  ask: { path: string; connections: number; round: number; name: string },
): Promise<Sample> {
  const { warmUp, duration } = context.options;
  const load = { path: ask.path, connections: ask.connections, warmUp, duration };
  const sample = await measureWindow(context.bench, running, { load, round: ask.round });
  if (sample.void === undefined) return sample;
  const again = await measureWindow(context.bench, running, { load, round: ask.round });
  if (again.void !== undefined) {
    note(context, `${ask.name}, ${running.label}, round ${ask.round} is void: ${again.void}`);
  } else {
    note(context, `${ask.name}, ${running.label}, round ${ask.round} was measured again: ${sample.void}`);
  }
  return again;
}
