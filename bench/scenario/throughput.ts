// CPU per request and requests per second under a closed loop: all peers started, then measured in turn, A B C A B C.

import type { Load } from '../measure/load.js';
import { measureWindow, type Sample } from '../measure/window.js';
import type { ScenarioName } from '../options.js';
import type { Shape } from '../peers/peer.js';
import { bar, progress } from '../report/progress.js';
import { OVER_H2 } from '../report/results.js';
import { installGhz } from '../rig/ghz.js';
import { LOADS, type LoadPlan, loadOf } from './loads.js';
import { type Context, messageOf, note, type Ready, startAll, startEach, stopAll } from './scenario.js';

const SHAPES = ['http', 'tls', 'h2-h1', 'tls-h2', 'h2', 'tcp', 'sni', 'pair'] as const satisfies Shape[];

/** Runs the throughput scenarios that were asked for; peers are started once per shape. */
export async function throughput(context: Context): Promise<void> {
  for (const shape of SHAPES) {
    const wanted = context.options.scenarios.flatMap((name) => {
      const plan = LOADS.get(name);
      return plan?.shape === shape && canRun(context, name, plan) ? [{ name, plan }] : [];
    });
    if (wanted.length === 0) continue;
    progress(`starting the peers (${shape})`);
    const ready = wanted.every(({ plan }) => plan.isShort)
      ? await startEach(context, shape)
      : await startAll(context, shape);
    // Which of the two legs is the cheaper one is seen only where both are measured in the same rounds.
    if (shape === 'pair') ready.push(...(await startEach(context, 'pair-h2', OVER_H2)));
    for (const { name, plan } of wanted) await scenario(context, { name, plan }, ready);
    await stopAll(context, ready);
  }
}

/** Whether the load's program is there; a note where it is not. */
function canRun(context: Context, name: ScenarioName, plan: LoadPlan): boolean {
  if (plan.program !== 'ghz') return true;
  try {
    installGhz();
    return true;
  } catch (error) {
    note(context, `${name} left out: ${messageOf(error)}`);
    return false;
  }
}

async function scenario(
  context: Context,
  what: { name: ScenarioName; plan: LoadPlan },
  ready: readonly Ready[],
): Promise<void> {
  const { options, results, bench } = context;
  const { name, plan } = what;
  const load = loadOf(plan, { ...options, folder: bench.folder });
  // The second copy is for the scenarios with full windows.
  const all = plan.isShort ? ready.filter((one) => !one.isCopy) : ready;
  const samples = new Map<string, Sample[]>(all.map((one) => [one.running.label, []]));
  const steps = options.rounds * all.length;
  let step = 0;
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const { running } of all) {
      progress(`${bar(step / steps)} ${name}  round ${round} of ${options.rounds}  ${running.label}`);
      samples.get(running.label)?.push(await sampleOf(context, running, { load, round, name }));
      step += 1;
    }
  }
  for (const { running, tls } of all) {
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
  ask: { load: Load; round: number; name: string },
): Promise<Sample> {
  const { load, round, name } = ask;
  const sample = await measureWindow(context.bench, running, { load, round });
  if (sample.void === undefined) return sample;
  const again = await measureWindow(context.bench, running, { load, round });
  if (again.void !== undefined) {
    note(context, `${name}, ${running.label}, round ${round} is void: ${again.void}`);
  } else {
    note(context, `${name}, ${running.label}, round ${round} was measured again: ${sample.void}`);
  }
  return again;
}
