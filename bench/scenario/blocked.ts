// The claim that traffic does not notice JavaScript: an embedding program at 1,000 requests per second, its thread free,
// then held by Atomics.wait for one second in the middle of the run, in turn.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Program } from '../measure/program.js';
import { frontConfig } from '../peers/tulle.js';
import { bar, progress } from '../report/progress.js';
import { groundOf } from '../rig/running.js';
import { pause, projectRoot, RigError } from '../rig/tools.js';
import { waitForPorts } from '../rig/waiting.js';
import { type Growing, type Meter, point, RATE } from './latency.js';
import { type Context, note } from './scenario.js';

/** Runs the scenario if it was asked for and Tulle is among the peers. */
export async function blocked(context: Context): Promise<void> {
  const { options, bench, results } = context;
  if (!options.scenarios.includes('blocked') || !options.peers.includes('tulle')) return;
  const entry = join(projectRoot(), 'dist/index.js');
  if (!existsSync(entry)) return note(context, `blocked left out: ${entry} is missing: run npm run build`);
  const ground = groundOf(bench, 'embedded');
  const { config, port } = frontConfig('http', ground);
  const file = ground.write('embedded.json', JSON.stringify(config));
  const args = [entry, file];
  const program = new Program<'hold' | 'ready?', string>(bench.fleet, 'embed-program', {
    core: bench.machine.proxyCore,
    args,
  });
  await waitForPorts(program.started, [port], 20);
  await program.ask('ready?', { seconds: 20 });
  const meter: Meter = new Program(bench.fleet, 'latency-program', { core: bench.machine.loadCore });
  const series = new Map<boolean, Growing>([false, true].map((held) => [held, { p50: [], p99: [] }]));
  const seconds = Math.max(2, options.duration);
  const job = { kind: 'rate', target: { port, path: '/1k', secure: false }, seconds, rate: RATE } as const;
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const [held, into] of series) {
      progress(
        `${bar((round - 1) / options.rounds)} blocked  round ${round}  thread ${held ? 'held' : 'free'}`,
      );
      const label = held ? 'held' : 'free';
      if (held)
        await whileHeld(program, (onBegun) => point(context, meter, { job, into, round, label, onBegun }));
      else await point(context, meter, { job, into, round, label });
    }
  }
  results.blocked.push(...[...series].map(([held, points]) => ({ held, ...points })));
  await bench.fleet.stop([meter.started, program.started]);
}

/** Measures, and holds the program's thread half a second after the load began; throws unless it was really held. */
async function whileHeld(
  program: Program<'hold' | 'ready?', string>,
  measure: (onBegun: () => void) => Promise<void>,
): Promise<void> {
  let begun = () => {};
  const beginning = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const measured = measure(begun);
  await Promise.race([beginning, measured]);
  await pause(0.5);
  await program.ask('hold', { seconds: 5 });
  const since = performance.now();
  await program.ask('ready?', { seconds: 5 });
  const silent = performance.now() - since;
  await measured;
  if (silent < 900)
    throw new RigError(`the JavaScript thread answered after ${Math.round(silent)} ms: it was not held`);
}
