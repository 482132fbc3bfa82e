// `npm run build`: packages, addon and JavaScript, each only where something changed; `--all`: tests and bench with its upstream, too.
import { build, buildTests, buildUpstream, run } from './steps.mjs';

await run(async () => {
  await build();
  if (!process.argv.includes('--all')) return;
  await buildUpstream();
  await buildTests();
});
