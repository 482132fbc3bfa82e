// What resilience costs while nothing is wrong: Tulle with everything switched on, none of which fires, beside Tulle with
// all of it off, in turn each round.

import { measureWindow, type Sample } from '../measure/window.js';
import { single } from '../peers/peer.js';
import { launchTulle } from '../peers/tulle.js';
import { type FeatureSet, featureConfig } from '../peers/tulle-service.js';
import { bar, progress } from '../report/progress.js';
import { groundOf, type Running, startPlan } from '../rig/running.js';
import { LOADS, loadOf } from './loads.js';
import { type Context, note, stopAll } from './scenario.js';

/** The one that is judged goes first. */
const SETS = ['everything', 'plain'] as const satisfies readonly FeatureSet[];

/** The load is that of this scenario. */
const AS = 'h1-1k-32';
/** Health checks of four endpoints in a window and around it, at most. */
const PROBES = 16;

/** Runs the scenario if it was asked for and Tulle is among the peers. */
export async function idleFeatures(context: Context): Promise<void> {
  const { options, results, bench } = context;
  const plan = LOADS.get(AS);
  if (plan === undefined || !options.scenarios.includes('idle-features')) return;
  if (!context.peers.some((peer) => peer.name === 'tulle')) return;
  const pair: { running: Running; samples: Sample[] }[] = [];
  for (const set of SETS) {
    progress(`starting Tulle (${set})`);
    pair.push({ running: await start(context, set), samples: [] });
  }
  const load = { ...loadOf(plan, { ...options, folder: bench.folder }), probes: PROBES };
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const { running, samples } of pair) {
      const { label } = running;
      progress(`${bar((round - 1) / options.rounds)} idle-features  round ${round}  ${label}`);
      const sample = await measureWindow(bench, running, { load, round });
      if (sample.void !== undefined)
        note(context, `idle-features (${label}), round ${round} is void: ${sample.void}`);
      samples.push(sample);
    }
  }
  for (const { running, samples } of pair) {
    const series = { scenario: 'idle-features', peer: running.label, tls: undefined, samples } as const;
    results.throughput.push(series);
  }
  await stopAll(
    context,
    pair.map(({ running }) => ({ running, tls: undefined, isCopy: false })),
  );
}

async function start(context: Context, set: FeatureSet): Promise<Running> {
  const { bench } = context;
  const ground = groundOf(bench, set);
  const { config, port } = featureConfig(set, ground, [bench.upstream.port, ...bench.upstream.others]);
  const launch = launchTulle(ground, 'tulle', config);
  const as = { label: set, shape: 'http', folder: ground.folder, seconds: 20 } as const;
  return await startPlan(bench, single(launch, port, false), as);
}
