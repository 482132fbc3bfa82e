// `npm run fuzz [TARGET…] [--seconds N]`: every fuzz target in native/fuzz, one after the other, 60 s each.
// In: the committed corpus. Out: nothing, or the input that broke a promise.
import { parseArgs } from 'node:util';
import { cargoEnv, command, files, run, timed } from './steps.mjs';

/** The fuzz targets by name. */
export function fuzzTargets() {
  return files(['native/fuzz/fuzz_targets']).map((name) => name.replace(/^.*\/(.+)\.rs$/, '$1'));
}

/** Fuzzes one target for this long; throws a StepError when it finds something. */
export function fuzz(target, seconds) {
  return command('sh', ['native/fuzz/run.sh', target, String(seconds)], { env: cargoEnv() });
}

if (process.argv[1] === import.meta.filename) {
  await run(async () => {
    const { values, positionals } = parseArgs({
      options: { seconds: { type: 'string', default: '60' } },
      allowPositionals: true,
    });
    for (const target of positionals.length > 0 ? positionals : fuzzTargets()) {
      await timed(`fuzzing ${target} for ${values.seconds} s`, () => fuzz(target, Number(values.seconds)));
    }
  });
}
