// `npm run check`: format, lint, types, and that generated files are current, for both languages. Changes nothing.
import fs from 'node:fs';
import path from 'node:path';
import {
  addonFolder,
  addonTypes,
  buildAddon,
  cargo,
  installPackages,
  local,
  plainCrates,
  root,
  run,
  StepError,
  say,
} from './steps.mjs';
import { ensurePrograms, forStart } from './system.mjs';

/** The addon's types as the build makes them must be those that are committed. */
async function addonTypesCurrent() {
  await buildAddon();
  const [made, committed] = [addonFolder, 'native/node'].map((folder) =>
    fs.readFileSync(path.join(root, folder, addonTypes), 'utf8'),
  );
  if (made !== committed) throw new StepError(`native/node/${addonTypes} is stale: run \`npm run generate\``);
}

/** Checks of each row run one after the other, the rows beside each other: what optimizes often keeps one core only. */
const rows = [
  {
    'lint of Rust': () =>
      cargo([
        'clippy',
        '--locked',
        '--release',
        '--workspace',
        '--all-targets',
        '--quiet',
        '--',
        '-D',
        'warnings',
      ]),
    'the addon and its types': addonTypesCurrent,
  },
  {
    'format of Rust': () => cargo(['fmt', '--all', '--check']),
    'format and lint of TypeScript': () => local('biome', ['ci', '--error-on-warnings', '.']),
    'types of TypeScript': () => local('tsc', ['--noEmit', '--incremental', 'false', '-p', 'tsconfig.json']),
    'the snapshot in TypeScript': () =>
      cargo(['test', '--locked', '--quiet', ...plainCrates, '--lib', 'generated']),
  },
];

/** Runs checks one after the other; resolves with the names of those that failed. */
async function inTurn(checks) {
  const failed = [];
  for (const [name, check] of Object.entries(checks)) {
    say(`> ${name}`);
    await check().catch((cause) => {
      if (!(cause instanceof StepError)) throw cause;
      say(`  not clean: ${name}: ${cause.message}`);
      failed.push(name);
    });
  }
  return failed;
}

await run(async () => {
  const line = await ensurePrograms(forStart);
  if (line) throw new StepError(line);
  await installPackages();
  const failed = (await Promise.all(rows.map(inTurn))).flat();
  if (failed.length > 0) throw new StepError(`not clean: ${failed.join(', ')}`);
  say('clean');
});
