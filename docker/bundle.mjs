// The JavaScript of the image. In: dist/ and the packages it imports. Out: APP/dist/cli/main.js and compile-process.js with all of
// them, the package.json by which it finds its version and the addon, and the addon for this machine.
import fs from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { root, StepError } from '../.ci/steps.mjs';

/** CommonJS packages ask for Node's modules by `require`, which an ES module does not have. */
const banner = `import { createRequire as toRequire } from 'node:module'; const require = toRequire(import.meta.url);`;

/** What a running proxy reads of package.json. */
const facts = ['name', 'version', 'license', 'type', 'exports', 'imports'];

/** The licences of the packages that went into the bundle, as those ask for. */
function licences(inputs) {
  const packages = inputs.map((name) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(name)?.[0]);
  return [...new Set(packages)]
    .filter((name) => name !== undefined)
    .map((name) => {
      const folder = path.join(root, name);
      const file = fs.readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
      if (file === undefined) throw new StepError(`${name} comes without a licence`);
      return `${name.replace(/^.*node_modules\//, '')}\n\n${fs.readFileSync(path.join(folder, file), 'utf8')}`;
    })
    .join('\n\n');
}

/** Lays out the application in this folder. */
export async function bundle(folder) {
  const { metafile } = await build({
    absWorkingDir: root,
    metafile: true,
    // The process is looked for beside the file that starts it.
    entryPoints: ['cli/main.js', 'engine/compile-process.js'].map((name) => path.join(root, 'dist', name)),
    outdir: path.join(folder, 'dist', 'cli'),
    entryNames: '[name]',
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    banner: { js: banner },
    external: ['#addon', 'tulle/package.json'],
    logLevel: 'warning',
  });
  const all = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  const kept = Object.fromEntries(facts.map((name) => [name, all[name]]));
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(kept, null, 2)}\n`);
  fs.copyFileSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
  fs.writeFileSync(path.join(folder, 'LICENSE-BUNDLED'), licences(Object.keys(metafile.inputs)));
  const addon = path.join('native', 'node');
  fs.mkdirSync(path.join(folder, addon), { recursive: true });
  for (const name of fs.readdirSync(path.join(root, addon))) {
    if (!/\.(node|cjs)$/.test(name)) continue;
    fs.copyFileSync(path.join(root, addon, name), path.join(folder, addon, name));
  }
}
