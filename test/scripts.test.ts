// A signal to a script of `.ci/` alone, while it builds, ends all that it has started. The scripts run in a copy of the
// checkout that is empty but for them, where each compiler is a stand-in that goes on for ever.

import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { eventually } from './e2e/raw.js';
import { root, type Scope, start, temporaryFolder } from './process.js';

/** Tells its process id and that of a child, which does not hear SIGINT, as in any shell without a terminal. */
const standIn = (begin: string): string => `#!/bin/sh
case "$1" in --version) exit ;; env) echo go1.999; exit ;; esac
${begin}
sleep 600 &
echo "$$ $!" >> "$STARTED"
wait
`;
const LISTENS = '';
const DEAF = "trap '' INT TERM HUP";

/** A checkout without sources, whose compilers are stand-ins. */
function checkout(scope: Scope, begin: string): { folder: string; env: NodeJS.ProcessEnv; started: string } {
  const folder = temporaryFolder(scope);
  const [bin, modules] = [path.join(folder, 'bin'), path.join(folder, 'node_modules')];
  cpSync(path.join(root, '.ci'), path.join(folder, '.ci'), { recursive: true });
  mkdirSync(bin);
  mkdirSync(path.join(modules, '.bin'), { recursive: true });
  writeFileSync(path.join(bin, 'cargo'), standIn(begin), { mode: 0o755 });
  symlinkSync('cargo', path.join(bin, 'go'));
  for (const name of ['napi', 'tsc', 'biome']) {
    symlinkSync('../../bin/cargo', path.join(modules, '.bin', name));
  }
  for (const name of ['package-lock.json', 'node_modules/.package-lock.json']) {
    writeFileSync(path.join(folder, name), '{ "packages": {} }');
  }
  const started = path.join(folder, 'started');
  const env = { PATH: `${bin}:${process.env.PATH}`, XDG_CACHE_HOME: folder, STARTED: started };
  return { folder, env, started };
}

/** Whether a process is there and not only waiting to be collected. */
function runs(pid: string): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) [ZX] /.test(readFileSync(stat, 'utf8'));
}

/** Each script, and how many compilers it runs beside each other. */
const cases = [
  ['build', 1, 'SIGTERM', LISTENS],
  ['build', 1, 'SIGINT', LISTENS],
  ['build', 1, 'SIGHUP', DEAF],
  ['check', 2, 'SIGTERM', LISTENS],
  ['check', 2, 'SIGINT', DEAF],
  ['test', 1, 'SIGTERM', LISTENS],
  ['test', 1, 'SIGINT', LISTENS],
] as const;

t.jobs = cases.length;
for (const [script, count, signal, begin] of cases) {
  const name = `${script}, ${signal}${begin === DEAF ? ', nobody listens' : ''}`;
  void t.test(name, { buffered: true }, async (t) => {
    const { folder, env, started } = checkout(t, begin);
    const running = start(t, [process.execPath, path.join(folder, '.ci', `${script}.mjs`)], { env });
    const lines = (): string[] =>
      existsSync(started) ? readFileSync(started, 'utf8').trimEnd().split('\n') : [];
    await eventually(() => (lines().length >= count ? true : undefined), 'the compilers run');
    const pids = (): string[] => lines().join(' ').split(' ');
    t.teardown(() => {
      for (const pid of pids().filter(runs)) process.kill(Number(pid), 'SIGKILL');
    });
    t.ok(pids().every(runs), 'they do');
    running.child.kill(signal);
    const [status] = await once(running.child, 'exit');
    t.equal(status, 128 + constants.signals[signal], running.output());
    t.equal(lines().length, count, 'nothing more was begun');
    await eventually(() => (pids().some(runs) ? undefined : true), 'nothing is left');
  });
}
