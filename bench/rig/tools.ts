// Small questions to the machine: where the project is, what a command prints, whether it exists.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A fault of the machine or the set-up, told to the person in one line. */
export class RigError extends Error {
  override readonly name = 'RigError';
}

/** The project's folder: the nearest one above this file, or the current one, whose package is ours. */
export function projectRoot(): string {
  for (const start of [dirname(fileURLToPath(import.meta.url)), process.cwd()]) {
    for (let folder = start; ; folder = dirname(folder)) {
      if (isOurs(join(folder, 'package.json'))) return folder;
      if (folder === dirname(folder)) break;
    }
  }
  throw new RigError('run this inside the checkout');
}

function isOurs(manifest: string): boolean {
  if (!existsSync(manifest)) return false;
  const parsed: unknown = JSON.parse(readFileSync(manifest, 'utf8'));
  return typeof parsed === 'object' && parsed !== null && 'name' in parsed && parsed.name === 'tulle';
}

/** Runs a command to its end; its standard output. Throws {@link RigError} with the last line it wrote. */
export function run(
  command: readonly [string, ...string[]],
  options: { env?: NodeJS.ProcessEnv } = {},
): string {
  const [program, ...args] = command;
  const done = spawnSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });
  if (done.error !== undefined) throw new RigError(`${program}: ${done.error.message}`);
  if (done.status !== 0) {
    const said = done.stderr.trim().split('\n').at(-1) ?? '';
    throw new RigError(`${program} ended with ${done.status ?? done.signal}: ${said}`);
  }
  return done.stdout;
}

/** The first line that a command prints, on either stream. */
export function firstLineOf(command: readonly [string, ...string[]]): string {
  const [program, ...args] = command;
  const done = spawnSync(program, args, { encoding: 'utf8' });
  if (done.error !== undefined) throw new RigError(`${program} cannot be run: ${done.error.message}`);
  return `${done.stdout}${done.stderr}`.trim().split('\n')[0] ?? '';
}

/** Whether a program is on the path. */
export function hasProgram(program: string): boolean {
  return (process.env.PATH ?? '')
    .split(':')
    .some((folder) => folder !== '' && existsSync(join(folder, program)));
}

/** Waits; a pause never keeps a stopped benchmark alive. */
export function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** Asks again and again until an answer is there, or throws {@link RigError} after `seconds`. */
export async function until<T>(what: string, seconds: number, ask: () => T | undefined): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const answer = ask();
    if (answer !== undefined) return answer;
    if (performance.now() > end) throw new RigError(`${what}: not within ${seconds} s`);
    await pause(0.05);
  }
}
