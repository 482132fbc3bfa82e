// What `npm pack` makes: nothing stray in it, and it runs where there is no compiler, as a command and as an import. A
// platform whose addon is not inside gets it from a package of its own, made as @napi-rs/cli makes them.

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { request, startUpstream } from '../http.js';
import { freePorts } from '../ports.js';
import { type Ended, root, type Scope, start, temporaryFolder } from '../process.js';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly napi: { readonly packageName: string; readonly targets: string[] };
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** One entry of `npm pack --json`. */
interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

const MOST_BYTES = 15_000_000;
const addon = `tulle.linux-${process.arch}-gnu.node`;
const platform = `linux-${process.arch}-gnu`;
const manifest = readManifest(path.join(root, 'package.json'));

function readManifest(file: string): Manifest {
  return JSON.parse(readFileSync(file, 'utf8')) as Manifest;
}

/** Packs the package in `from`; returns what npm says of it and where it is. */
async function pack(scope: Scope, from: string, to: string): Promise<Packed & { readonly archive: string }> {
  const args = ['pack', '--ignore-scripts', '--json', '--loglevel', 'error', '--pack-destination', to];
  const { status, stdout, stderr } = await start(scope, ['npm', ...args], { cwd: from }).ended;
  if (status !== 0) throw new Error(stderr);
  const [packed] = JSON.parse(stdout) as [Packed];
  return { ...packed, archive: path.join(to, packed.filename) };
}

/** A folder of programs that has node, npm and a shell, and no compiler. */
function bareTools(folder: string): NodeJS.ProcessEnv {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  const beside = path.dirname(process.execPath);
  symlinkSync(process.execPath, path.join(bin, 'node'));
  for (const name of ['npm', 'npx']) symlinkSync(realpathSync(path.join(beside, name)), path.join(bin, name));
  symlinkSync('/bin/sh', path.join(bin, 'sh'));
  return { PATH: bin };
}

/** Installs these archives into the folder, as a user would; what they depend on may come from npm's cache. */
function install(
  scope: Scope,
  { folder, env }: { folder: string; env: NodeJS.ProcessEnv },
  archives: string[],
): Promise<Ended> {
  const quiet = ['--no-audit', '--no-fund', '--loglevel', 'error', '--prefer-offline'];
  const args = ['install', '--prefix', folder, ...quiet, ...archives] as const;
  return start(scope, ['npm', ...args], { cwd: folder, env }).ended;
}

/** An empty package of somebody else's, with these archives installed where no compiler is. */
async function installed(
  scope: Scope,
  archives: string[],
): Promise<{ folder: string; env: NodeJS.ProcessEnv }> {
  const folder = temporaryFolder(scope);
  const env = bareTools(folder);
  writeFileSync(path.join(folder, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }');
  const { status, stderr } = await install(scope, { folder, env }, archives);
  if (status !== 0) throw new Error(stderr);
  return { folder, env };
}

/** The first program in JavaScript of README.md. */
function readmeExample(): string {
  const [, program] = /```js\n([\s\S]*?)```/.exec(readFileSync(path.join(root, 'README.md'), 'utf8')) ?? [];
  if (program === undefined) throw new Error('README.md has no program');
  return program;
}

t.test('holds what it needs and nothing else', async (t) => {
  const { files, size, unpackedSize, filename } = await pack(t, root, temporaryFolder(t));
  t.equal(filename, `tulle-${manifest.version}.tgz`);
  const names = files.map((file) => file.path).sort();
  const allowed = [
    /^(package\.json|README\.md|LICENSE|SECURITY\.md)$/,
    /^dist\/[a-z-]+(\/[a-z-]+)*(\.generated)?\.(js|d\.ts)$/,
    /^native\/node\/(index\.cjs|index\.d\.cts)$/,
    /^src\/config\/tulle\.schema\.json$/,
  ];
  t.same(
    names.filter((name) => !allowed.some((pattern) => pattern.test(name))),
    [`native/node/${addon}`],
    'beside the addon',
  );
  for (const name of ['LICENSE', 'README.md', 'SECURITY.md', 'dist/index.d.ts', 'native/node/index.cjs'])
    t.ok(names.includes(name), name);
  t.equal(files.find((file) => file.path === 'dist/cli/main.js')?.mode, 0o755);
  // Each source has its two files; none is of a source that is gone.
  const sources = readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => ['.js', '.d.ts'].map((end) => `dist/${name.replace(/\.ts$/, end)}`));
  t.same(
    names.filter((name) => name.startsWith('dist/')),
    sources.sort(),
  );
  t.ok(size < MOST_BYTES && unpackedSize < MOST_BYTES, `${size} bytes, ${unpackedSize} unpacked`);
  const sections = await start(t, ['readelf', '-SW', path.join(root, 'native', 'node', addon)]).ended;
  t.match(sections.stdout, / \.text /);
  t.notMatch(sections.stdout, / \.debug_/, 'the addon is stripped');
});

t.test('installs without a compiler, and runs', async (t) => {
  const { archive } = await pack(t, root, temporaryFolder(t));
  const { folder, env } = await installed(t, [archive]);
  const here = { cwd: folder, env };
  const compilers = await start(t, ['sh', '-c', 'command -v cc gcc clang c++ cargo rustc make python3'], here)
    .ended;
  t.equal(compilers.stdout, '', 'no compiler');
  t.notOk(existsSync(path.join(folder, 'node_modules', 'esbuild')), 'no development packages');
  const npx = (...args: string[]): Promise<Ended> =>
    start(t, ['npx', '--no-install', '--loglevel', 'error', 'tulle', ...args], here).ended;
  t.match(await npx('--version'), { status: 0, stdout: `${manifest.version}\n` });

  const [port = 0, embeddedPort = 0, upstream = 0] = await freePorts(3);
  const { seen } = await startUpstream(t, { port: upstream, name: 'a' });
  const config = `listeners: { web: { address: "127.0.0.1:${port}" } }
services: { api: { endpoints: ["127.0.0.1:${upstream}"] } }
routes: [{ name: all, rules: [{ backends: [{ service: api }] }] }]
`;
  writeFileSync(path.join(folder, 'edge.yaml'), config);
  writeFileSync(path.join(folder, 'broken.yaml'), config.replace('service: api', 'service: nobody'));
  t.match(await npx('check', 'edge.yaml'), { status: 0 });
  t.match(await npx('check', 'broken.yaml'), { status: 1 });

  await t.test('tulle proxy', async (t) => {
    const main = path.join(folder, 'node_modules', '.bin', 'tulle');
    const proxy = start(t, [main, 'proxy', '--config', 'edge.yaml'], here);
    await proxy.says(/^ready web /m);
    t.match(await request(`http://127.0.0.1:${port}/one`), { status: 200, body: 'a' });
    t.equal(seen.at(-1)?.url, '/one');
    proxy.child.kill('SIGTERM');
    t.equal((await proxy.ended).status, 0);
  });

  await t.test('the program in README.md', async (t) => {
    writeFileSync(path.join(folder, 'embed.js'), readmeExample());
    const ports = { PORT: String(embeddedPort), UPSTREAM: String(upstream) };
    const embedded = start(t, ['node', 'embed.js'], { cwd: folder, env: { ...env, ...ports } });
    await embedded.says(/^ready http/m);
    t.match(await request(`http://127.0.0.1:${embeddedPort}/two`), { status: 200, body: 'a' });
    t.equal(seen.at(-1)?.url, '/two');
    embedded.child.kill('SIGINT');
    t.equal((await embedded.ended).status, 0);
  });

  await t.test('its types hold without ours', async (t) => {
    writeFileSync(
      path.join(folder, 'typed.ts'),
      `import { createProxy, type ProxyConfig, TulleError } from 'tulle';
const config: ProxyConfig = { listeners: { web: { address: '127.0.0.1:0' } } };
const started: Promise<void> = createProxy(config).start();
const code: string = TulleError.from(started).code;
// @ts-expect-error: an address is text
createProxy({ listeners: { web: { address: code.length } } });
`,
    );
    // What every program in TypeScript has: Node's own types.
    for (const name of ['@types/node', 'undici-types'])
      cpSync(path.join(root, 'node_modules', name), path.join(folder, 'node_modules', name), {
        recursive: true,
      });
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node'];
    const tsc = path.join(root, 'node_modules', '.bin', 'tsc');
    const { status, stdout } = await start(t, [tsc, ...options, 'typed.ts'], { cwd: folder }).ended;
    t.equal(status, 0, stdout);
  });
});

t.test('platforms whose addon is not inside have packages of their own', async (t) => {
  const folder = temporaryFolder(t);
  const napi = async (...args: string[]): Promise<void> => {
    const tool = path.join(root, 'node_modules', '.bin', 'napi');
    const { status, stdout, stderr } = await start(t, [tool, ...args], { cwd: folder }).ended;
    t.equal(status, 0, `napi ${args.join(' ')}: ${stdout}${stderr}`);
  };
  cpSync(path.join(root, 'package.json'), path.join(folder, 'package.json'));
  await napi('create-npm-dirs');
  t.same(readdirSync(path.join(folder, 'npm')).sort(), ['linux-arm64-gnu', 'linux-x64-gnu']);
  for (const arch of ['arm64', 'x64']) {
    t.match(JSON.parse(readFileSync(path.join(folder, 'npm', `linux-${arch}-gnu`, 'package.json'), 'utf8')), {
      name: `@tulle/addon-linux-${arch}-gnu`,
      version: manifest.version,
      os: ['linux'],
      cpu: [arch],
      libc: ['glibc'],
    });
  }

  // The rest for this platform alone: there is no binary of another here.
  const target = manifest.napi.targets.find((name) =>
    name.startsWith(process.arch === 'x64' ? 'x86_64' : 'aarch64'),
  );
  const narrowed = { ...manifest, napi: { ...manifest.napi, targets: [target] } };
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify(narrowed));
  mkdirSync(path.join(folder, 'artifacts'));
  cpSync(path.join(root, 'native', 'node', addon), path.join(folder, 'artifacts', addon));
  await napi('artifacts', '--output-dir', 'artifacts');
  await napi('prepublish', '--tag-style', 'npm', '--skip-optional-publish', '--no-gh-release');
  const name = `${manifest.napi.packageName}-${platform}`;
  t.same(readManifest(path.join(folder, 'package.json')).optionalDependencies, { [name]: manifest.version });

  const own = await pack(t, path.join(folder, 'npm', platform), folder);
  t.same(own.files.map((file) => file.path).sort(), ['README.md', 'package.json', addon]);
  const main = await pack(t, root, folder);
  const { folder: empty, env } = await installed(t, [main.archive, own.archive]);
  const inside = path.join(empty, 'node_modules', 'tulle', 'native', 'node', addon);
  t.ok(statSync(inside).size > 0);
  rmSync(inside);
  const tulle = path.join(empty, 'node_modules', '.bin', 'tulle');
  t.match(await start(t, [tulle, 'certs'], { cwd: empty, env }).ended, { status: 0, stdout: /edge\.crt/ });
  rmSync(path.join(empty, 'node_modules', name), { recursive: true });
  const without = await start(t, [tulle, 'certs'], { cwd: empty, env }).ended;
  t.match(without, { status: 1, stderr: /no binary that loads here/ });
});
