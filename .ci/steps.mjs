// The steps that make a checkout runnable, each doing nothing when its result is current: packages, addon, JavaScript.
// In: the checkout as it is. Out: node_modules, native/node/*.node, dist/ and build/. No dependencies: it runs right
// after `git clone`. Used by start, test, check, build and generate.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { endOf, endOnSignals, startChild } from './children.mjs';

export const root = fileURLToPath(new URL('..', import.meta.url));
const stamps = path.join(root, 'build', 'stamps');

/** Whether this is CI: nothing may be left out, and nothing is built twice. */
export const inCi = process.env.CI === 'true' || process.env.CI === '1';

/** A failure that is told in one line, without a stack. */
export class StepError extends Error {}

/** Prints what is going on; standard output stays free for results. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/** Runs `main`; a StepError ends the process with 1 and its one line, a signal with all that it has started. */
export async function run(main) {
  endOnSignals();
  try {
    process.exitCode = (await main()) ?? process.exitCode;
  } catch (cause) {
    if (!(cause instanceof StepError)) throw cause;
    say(cause.message);
    process.exitCode = 1;
  }
}

/**
 * Runs a command in the checkout with its output shown (or, `quiet`, only its problems); throws a StepError naming it
 * unless it exits with 0.
 */
export async function command(name, args, { env = {}, quiet = false } = {}) {
  const child = startChild(name, args, {
    cwd: root,
    stdio: ['ignore', quiet ? 'ignore' : process.stderr, process.stderr],
    env: { ...process.env, ...env },
  });
  const ended = await endOf(child).catch((cause) => {
    throw new StepError(`${name}: ${cause.message}`);
  });
  if (ended !== 0) throw new StepError(`failed (${ended}): ${name} ${args.join(' ')}`);
}

/** Announces a step that takes a while, and how long it took; says every 20 s that it is still alive. */
export async function timed(title, work) {
  const began = Date.now();
  const seconds = () => Math.round((Date.now() - began) / 1000);
  say(`> ${title}`);
  const alive = setInterval(() => say(`  … ${seconds()} s`), 20_000);
  try {
    await work();
  } finally {
    clearInterval(alive);
  }
  say(`  done in ${seconds()} s`);
}

/** Files under the given paths of the checkout, sorted; folders that hold results are left out. */
export function files(paths) {
  const left = new Set(['target', 'node_modules', 'dist', 'build', 'certs']);
  const found = [];
  const visit = (name) => {
    const stat = fs.statSync(path.join(root, name), { throwIfNoEntry: false });
    if (stat?.isFile()) found.push(name);
    if (!stat?.isDirectory()) return;
    for (const entry of fs.readdirSync(path.join(root, name))) {
      if (!left.has(entry)) visit(path.join(name, entry));
    }
  };
  paths.forEach(visit);
  return found.sort();
}

function digest(names) {
  const hash = createHash('sha256');
  for (const name of names)
    hash
      .update(`${name}\0`)
      .update(fs.readFileSync(path.join(root, name)))
      .update('\0');
  return hash.digest('hex');
}

/** Does `work` unless it was done for the same inputs and all of `outputs` exist. */
async function whenChanged(name, { inputs, outputs, work }) {
  const stamp = path.join(stamps, name);
  const current = digest(inputs);
  const made = outputs.every((output) => fs.existsSync(path.join(root, output)));
  if (made && fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === current) return;
  await work();
  fs.mkdirSync(stamps, { recursive: true });
  fs.writeFileSync(stamp, current);
}

function packagesCurrent() {
  const hidden = path.join(root, 'node_modules', '.package-lock.json');
  if (!fs.existsSync(hidden)) return false;
  const wanted = JSON.parse(fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8')).packages;
  const found = JSON.parse(fs.readFileSync(hidden, 'utf8')).packages;
  return Object.entries(wanted).every(
    ([name, entry]) => name === '' || entry.optional || found[name]?.version === entry.version,
  );
}

/**
 * Installs what package-lock.json says, unless node_modules holds it. Not with `npm ci`: that refuses a lock without the
 * packages of platforms that the registry at hand does not carry; `--no-save` keeps the lock as it is all the same.
 */
export async function installPackages() {
  if (packagesCurrent()) return;
  await timed('installing the npm packages', () =>
    command('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']),
  );
}

/** The PATH with cargo on it: rustup's folder is often missing from a non-login shell's. */
function cargoEnv() {
  const bin = path.join(process.env.CARGO_HOME ?? path.join(process.env.HOME ?? '/root', '.cargo'), 'bin');
  const env = { ...process.env, PATH: `${process.env.PATH}:${bin}` };
  if (spawnSync('cargo', ['--version'], { env }).status !== 0) {
    throw new StepError('cargo was not found: install Rust 1.88 or later (https://rustup.rs)');
  }
  // `napi build` names its target; named everywhere, all share what was built once.
  env.CARGO_BUILD_TARGET ??= `${process.arch === 'x64' ? 'x86_64' : 'aarch64'}-unknown-linux-gnu`;
  // What a later build could reuse of a crate is only written where there is one.
  if (inCi) env.CARGO_INCREMENTAL ??= '0';
  return env;
}

/**
 * The crates without TLS, as `check` and `test` both name them to cargo: with others, or with one alone, features of
 * their dependencies differ, and all is compiled once more.
 */
export const plainCrates = ['-p', 'tulle-snapshot', '-p', 'tulle-decide'];

/** Runs cargo on the workspace in native/. */
export async function cargo(args) {
  const [verb, ...rest] = args;
  await command('cargo', [verb, '--manifest-path', 'native/Cargo.toml', ...rest], { env: cargoEnv() });
}

/** The environment for a cargo that the caller runs. */
export { cargoEnv };

/** Runs a program of node_modules. */
export async function local(name, args, env) {
  await command(path.join(root, 'node_modules', '.bin', name), args, { env });
}

/** Where `napi build` leaves the addon, its loader and its types. */
export const addonFolder = path.join('build', 'addon');
/** The addon's types, committed in native/node; its loader and binary are not. */
export const addonTypes = 'index.d.cts';

/** The addon's files for this machine, as @napi-rs/cli names them: its binary and what finds it. */
function addonFiles() {
  return [`tulle.linux-${process.arch}-gnu.node`, 'index.cjs'];
}

/** Builds the addon for this machine into native/node, unless its sources are unchanged. */
export async function buildAddon() {
  const inputs = files(['native', 'package-lock.json']).filter((name) => !/\.(node|cjs|cts)$/.test(name));
  await whenChanged('addon', {
    inputs,
    outputs: [
      ...addonFiles().map((name) => path.join('native/node', name)),
      path.join(addonFolder, addonTypes),
    ],
    work: () =>
      timed('building the data plane (cargo; a few minutes the first time)', async () => {
        fs.mkdirSync(path.join(root, addonFolder), { recursive: true });
        await local(
          'napi',
          [
            ...['build', '--release', '--platform', '--no-const-enum'],
            ...['--manifest-path', 'native/node/Cargo.toml', '--output-dir', addonFolder],
            ...['--js', 'index.cjs', '--dts', 'index.d.cts', '--', '--locked'],
          ],
          cargoEnv(),
        );
        for (const name of addonFiles()) {
          // A running proxy has the old file mapped: replace it, never write into it.
          const output = path.join(root, 'native', 'node', name);
          fs.copyFileSync(path.join(root, addonFolder, name), `${output}.new`);
          // What is tested is what is shipped; line tables, four fifths of the file, stay in build/.
          if (name.endsWith('.node')) await command('strip', ['--strip-debug', `${output}.new`]);
          fs.renameSync(`${output}.new`, output);
        }
      }),
  });
}

/** Takes away compiled files whose source is gone. */
function prune(folder, source) {
  for (const name of files([folder]).concat(listResults(folder))) {
    const from = name.replace(/\.(js|d\.ts)(\.map)?$/, '.ts');
    if (from === name) continue;
    const origin = path.join(root, source, path.relative(folder, from));
    if (!fs.existsSync(origin)) fs.rmSync(path.join(root, name), { force: true });
  }
}

function listResults(folder) {
  const top = path.join(root, folder);
  if (!fs.existsSync(top)) return [];
  return fs
    .readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)));
}

/** Compiles `sources` by a tsconfig, unless nothing changed. */
async function compile({ name, project, sources, outputs, prunes }) {
  const inputs = files([...sources, 'tsconfig.json', project, 'package.json', 'package-lock.json']);
  await whenChanged(name, {
    inputs: [...new Set(inputs), path.join('native/node', addonTypes)],
    outputs,
    work: () =>
      timed(`compiling ${sources.join(', ')}`, async () => {
        await local('tsc', ['-p', project]);
        for (const [folder, source] of prunes) prune(folder, source);
      }),
  });
}

/** Compiles src to dist: what is shipped. */
export async function buildPackage() {
  const main = 'dist/cli/main.js';
  await compile({
    name: 'dist',
    project: 'tsconfig.build.json',
    sources: ['src'],
    outputs: ['dist/index.js', main],
    prunes: [['dist', 'src']],
  });
  fs.chmodSync(path.join(root, main), 0o755);
}

/** Compiles src, test and bench to build. */
export async function buildTests() {
  const sources = ['src', 'test', 'bench'];
  await compile({
    name: 'tests',
    project: 'tsconfig.json',
    sources,
    outputs: ['build/src/index.js', 'build/test/tap-counter.js'],
    prunes: sources.map((source) => [path.join('build', source), source]),
  });
}

/** Builds the benchmark's upstream for HTTP/2 into build/, unless its sources are unchanged. */
export async function buildUpstream() {
  const output = path.join('build', 'bench-upstream');
  await whenChanged('upstream', {
    inputs: files(['native/decide/src', 'native/proxy/examples', 'native/Cargo.toml', 'native/Cargo.lock']),
    outputs: [output],
    work: () =>
      timed('building the upstream of the benchmark', async () => {
        await cargo(['build', '--release', '--locked', '-p', 'tulle-proxy', '--example', 'upstream']);
        const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'native', 'target');
        const built = path.join(target, cargoEnv().CARGO_BUILD_TARGET, 'release', 'examples', 'upstream');
        fs.mkdirSync(path.join(root, 'build'), { recursive: true });
        // A running one has the old file mapped: replace it, never write into it.
        fs.copyFileSync(built, path.join(root, `${output}.new`));
        fs.renameSync(path.join(root, `${output}.new`), path.join(root, output));
      }),
  });
}

/** Everything that runs: packages, addon, and what is shipped. */
export async function build() {
  await installPackages();
  await buildAddon();
  await buildPackage();
}
