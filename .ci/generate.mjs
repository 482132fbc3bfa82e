// `npm run generate`: writes the files that are made from others and committed.
// In: native/snapshot/src/wire, the exports of native/node. Out: src/engine/snapshot.generated.ts, native/node/index.d.cts.
import fs from 'node:fs';
import path from 'node:path';
import { addonFolder, addonTypes, buildAddon, cargo, installPackages, root, run } from './steps.mjs';

await run(async () => {
  await installPackages();
  process.env.UPDATE = '1';
  await cargo(['test', '--locked', '-p', 'tulle-snapshot', 'generated']);
  await buildAddon();
  fs.copyFileSync(path.join(root, addonFolder, addonTypes), path.join(root, 'native/node', addonTypes));
});
