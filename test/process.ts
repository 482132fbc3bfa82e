// Starts programs for tests and tells how they ended and what they said. A test that ends takes them with it.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';

// At its natural end, Node 20 now and then loops for ever over a socket that it has closed (nodejs/node#47748): exit instead.
process.once('beforeExit', () => setImmediate(() => process.exit()));

/** The checkout. */
export const root = path.dirname(createRequire(import.meta.url).resolve('tulle/package.json'));
/** The command line as it is installed. */
export const tulleMain = path.join(root, 'dist', 'cli', 'main.js');

/** What a test gives: something to run when it is over. */
export interface Scope {
  teardown(done: () => void | Promise<void>): void;
}

/** How a program ended. */
export interface Ended {
  /** The exit code, or the signal that ended it. */
  readonly status: number | NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that runs. */
export interface Running {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** Everything it printed so far, on either stream. */
  output(): string;
  /** Resolves with the first match in what it prints, on either stream; rejects when it ends without. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
  readonly ended: Promise<Ended>;
}

/** How to start a program. */
export interface StartOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Starts a program; it is killed when the scope is over. */
export function start(
  scope: Scope,
  command: readonly [string, ...string[]],
  options: StartOptions = {},
): Running {
  const [name, ...args] = command;
  const child = spawn(name, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (part: string) => {
      printed[stream] += part;
    });
  }
  const ended = once(child, 'close').then(
    ([code, signal]): Ended => ({ status: code ?? signal, ...printed }),
  );
  scope.teardown(async () => {
    child.kill('SIGKILL');
    await ended.catch(() => {});
  });
  const output = (): string => printed.stdout + printed.stderr;
  return { child, output, ended, says: (pattern) => waitFor({ child, output, ended }, pattern) };
}

async function waitFor(running: Omit<Running, 'says'>, pattern: RegExp): Promise<RegExpExecArray> {
  const { child, output, ended } = running;
  let over = false;
  void ended.then(() => {
    over = true;
  });
  for (;;) {
    const found = pattern.exec(output());
    if (found !== null) return found;
    if (over) throw new Error(`ended without saying ${pattern}:\n${output()}`);
    const heard = new AbortController();
    const word = (stream: NodeJS.ReadableStream): Promise<unknown> =>
      once(stream, 'data', { signal: heard.signal }).catch(() => {});
    await Promise.race([word(child.stdout), word(child.stderr), ended]);
    heard.abort(); // or the silent stream would keep a listener for each wait
  }
}

/** Starts `tulle` with these arguments. */
export function startTulle(scope: Scope, args: readonly string[], options: StartOptions = {}): Running {
  return start(scope, [process.execPath, tulleMain, ...args], options);
}

/** Runs `tulle` to its end. */
export function runTulle(scope: Scope, args: readonly string[], options: StartOptions = {}): Promise<Ended> {
  return startTulle(scope, args, options).ended;
}

/** An empty folder that goes away with the scope. */
export function temporaryFolder(scope: Scope): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'tulle-test-'));
  scope.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
