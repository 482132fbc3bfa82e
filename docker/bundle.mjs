// The JavaScript of the image. In: dist/ and the packages it imports. Out: APP/dist/cli/main.js with all of them in one
// file, the package.json by which it finds its version and the addon, and the addon for this machine.
import fs from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { root } from '../.ci/steps.mjs';

/** CommonJS packages ask for Node's modules by `require`, which an ES module does not have. */
const banner = `import { createRequire as toRequire } from 'node:module'; const require = toRequire(import.meta.url);`;

/** What a running proxy reads of package.json. */
const facts = ['name', 'version', 'license', 'type', 'exports', 'imports'];

/** Lays out the application in this folder. */
export async function bundle(folder) {
  await build({
    entryPoints: [path.join(root, 'dist', 'cli', 'main.js')],
    outfile: path.join(folder, 'dist', 'cli', 'main.js'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'inline',
    banner: { js: banner },
    external: ['#addon', 'tulle/package.json'],
    logLevel: 'warning',
  });
  const all = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  const kept = Object.fromEntries(facts.map((name) => [name, all[name]]));
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(kept, null, 2)}\n`);
  fs.copyFileSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
  const addon = path.join('native', 'node');
  fs.mkdirSync(path.join(folder, addon), { recursive: true });
  for (const name of fs.readdirSync(path.join(root, addon))) {
    if (!/\.(node|cjs)$/.test(name)) continue;
    fs.copyFileSync(path.join(root, addon, name), path.join(folder, addon, name));
  }
}
