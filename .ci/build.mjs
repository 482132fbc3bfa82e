// `npm run build`: packages, addon and JavaScript, each only where something changed; `--all`: tests and bench, too.
import { build, buildTests, run } from './steps.mjs';

await run(async () => {
  await build();
  if (process.argv.includes('--all')) await buildTests();
});
