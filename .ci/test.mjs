// `npm test`: builds what is missing and runs every suite, Rust and TypeScript. `--long` runs the drills that take
// minutes, too; names after it run only the TypeScript suites whose path contains one of them.
// In: the checkout. Out: a line for each suite and, last, `N passed, N failed`; exits with 1 unless all passed.
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { endOf, signalGroup, startChild } from './children.mjs';
import { fuzzTargets } from './fuzz.mjs';
import { ensureGoPrograms } from './go.mjs';
import { createReport } from './report.mjs';
import {
  build,
  buildTests,
  cargoEnv,
  files,
  inCi,
  plainCrates,
  root,
  run,
  StepError,
  say,
} from './steps.mjs';
import { ensurePrograms, forLong, forTests } from './system.mjs';

/** A suite that is not done by then hangs. */
const SUITE_MS = 300_000;
const LONG_SUITE_MS = 1_800_000;

const names = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const long = process.argv.includes('--long');

/**
 * What the tests of the proxy cannot share with the addon, as they turn features of dependencies on: our crates and the
 * dependencies it concerns that take long. Optimizing these once more takes longer than their tests do.
 */
const notShared = [
  ...['tulle-snapshot', 'tulle-decide', 'tulle-authority', 'tulle-proxy'],
  ...['proptest', 'regex-automata', 'regex-syntax', 'x509-parser', 'asn1-rs', 'rcgen'],
];
/**
 * The Rust suites. Crates without TLS are tested unoptimized; the others with the addon's dependencies where they can
 * be, so that the TLS library is compiled once.
 */
const rustSuites = [
  {
    name: 'cargo: snapshot, decide',
    // Simulations of many hours are for those who wait.
    args: [...plainCrates, ...(long ? ['--features', 'tulle-decide/long'] : [])],
  },
  {
    name: 'cargo: proxy, authority',
    args: [
      ...['--release', '-p', 'tulle-proxy', '-p', 'tulle-authority'],
      ...notShared.flatMap((name) => ['--config', `profile.release.package.${name}.opt-level=0`]),
    ],
  },
];

/** Runs a program; every line of its output goes to `line`. Resolves with how it ended and all it said. */
async function lines(name, args, { env, limitMs, line }) {
  const child = startChild(name, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    signalGroup(child, 'SIGKILL');
  }, limitMs);
  const readers = [child.stdout, child.stderr].map((input) => {
    const reader = readline.createInterface({ input });
    reader.on('line', (text) => {
      said = `${said}${text}\n`.slice(-20_000);
      line(text);
    });
    return once(reader, 'close');
  });
  const ended = await endOf(child);
  clearTimeout(timer);
  await Promise.all(readers);
  return { ended: late ? `no end within ${limitMs / 1000} s` : ended, said };
}

async function rustSuite({ name, args }) {
  const began = Date.now();
  const count = { passed: 0, failed: 0, skipped: 0, failures: [] };
  const { ended, said } = await lines(
    'cargo',
    ['test', '--locked', '--manifest-path', 'native/Cargo.toml', '--no-fail-fast', '--tests', ...args],
    {
      env: cargoEnv(),
      limitMs: LONG_SUITE_MS,
      line: (text) => {
        const result = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/.exec(text);
        if (result) {
          count.passed += Number(result[1]);
          count.failed += Number(result[2]);
          count.skipped += Number(result[3]);
        }
        const failed = /^test (.+) \.\.\. FAILED$/.exec(text);
        if (failed) count.failures.push(failed[1]);
        if (/^\s+(Compiling|Running|Doc-tests) tulle/.test(text)) say(text);
      },
    },
  );
  return settle({ name, began, count, ended, said });
}

async function tapSuite(file, createTapCounter) {
  const began = Date.now();
  const counter = createTapCounter();
  const { ended, said } = await lines(process.execPath, ['--enable-source-maps', file], {
    env: { ...process.env, TAP_TIMEOUT: String((long ? LONG_SUITE_MS : SUITE_MS) / 1000) },
    limitMs: long ? LONG_SUITE_MS : SUITE_MS,
    line: (text) => counter.line(text),
  });
  const name = path.relative('build', file).replace(/\.js$/, '');
  return settle({ name, began, count: counter.count, ended, said });
}

/** A short run of a fuzz target: that it finds nothing is one passed test. */
async function fuzzSuite(target) {
  const began = Date.now();
  const count = { passed: 0, failed: 0, skipped: 0, failures: [] };
  const seconds = long ? '300' : '5';
  const { ended, said } = await lines('sh', ['native/fuzz/run.sh', target, seconds], {
    env: cargoEnv(),
    limitMs: LONG_SUITE_MS,
    line: () => {},
  });
  if (ended === 0) count.passed = 1;
  return settle({ name: `fuzz: ${target} (${seconds} s)`, began, count, ended, said });
}

/** A suite that ended badly or ran nothing has failed, whatever it counted. */
function settle({ name, began, count, ended, said }) {
  const seconds = (Date.now() - began) / 1000;
  const { passed, failed, skipped } = count;
  if (failed === 0 && (ended !== 0 || passed + skipped === 0)) {
    count.failed = 1;
    count.failures.push(ended === 0 ? 'ran no test' : `ended with ${ended}`);
  }
  return { name, seconds, ...count, output: said };
}

/** Runs suites beside each other, so many at a time, in their order. */
async function beside(most, suites, runSuite) {
  const left = [...suites];
  const worker = async () => {
    for (let suite = left.shift(); suite !== undefined; suite = left.shift()) await runSuite(suite);
  };
  await Promise.all(Array.from({ length: most }, worker));
}

/** TypeScript suites that take long, longest first. They begin first: what begins last ends alone on one core. */
const slow = ['package/pack', 'e2e/contract', 'e2e/reload', 'cli/node-versions', 'e2e/canary', 'cli/proxy'];

/** How early a suite begins: less is earlier. */
function turn(source) {
  const at = slow.indexOf(source.replace(/^test\/(.+)\.test\.ts$/, '$1'));
  return at === -1 ? slow.length : at;
}

/** Compiled test programs, those that take minutes only if asked for. */
function tapFiles() {
  const sources = files(['test']).filter((name) => name.endsWith('.test.ts'));
  const wanted = sources.filter((name) => long || !name.endsWith('.long.test.ts'));
  const chosen = wanted.filter((name) => names.length === 0 || names.some((word) => name.includes(word)));
  chosen.sort((one, other) => turn(one) - turn(other));
  return chosen.map((name) => path.join('build', name.replace(/\.ts$/, '.js')));
}

/** Suites beside each other, at most as many as there are processors; those that measure time, alone at the end. */
async function tapSuites(add) {
  const { createTapCounter } = await import(path.join(root, 'build', 'test', 'tap-counter.js'));
  const all = tapFiles();
  const alone = all.filter((file) => /\.(long|alone)\.test\.js$/.test(file));
  const together = all.filter((file) => !alone.includes(file));
  await beside(Math.min(2, os.availableParallelism()), together, async (file) =>
    add(await tapSuite(file, createTapCounter)),
  );
  for (const file of alone) add(await tapSuite(file, createTapCounter));
}

await run(async () => {
  const line = await ensurePrograms(long ? forLong : forTests);
  if (line) throw new StepError(`missing programs; install them with: ${line}`);
  await ensureGoPrograms();
  await build();
  await buildTests();
  const report = createReport({ strict: inCi });
  const everything = names.length === 0;
  if (everything) {
    // All compile for a while, each often on one core only; a second fuzz target is built while the first one runs.
    await Promise.all([
      beside(rustSuites.length, rustSuites, async (suite) => report.add(await rustSuite(suite))),
      beside(2, fuzzTargets(), async (target) => report.add(await fuzzSuite(target))),
    ]);
  }
  await tapSuites((suite) => report.add(suite));
  return report.close();
});
