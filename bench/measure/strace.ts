// Counts system calls of running processes with strace -f -c, attached by process id for a bounded time.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Fleet } from '../rig/processes.js';
import { RigError } from '../rig/tools.js';

/** Calls by name. */
export type CallCounts = ReadonlyMap<string, number>;

/**
 * Attaches to processes while `work` runs. It starts the moment the last process is attached and strace is told to let go
 * the moment it ends, so that calls and whatever it counts are of the same time to within a few milliseconds.
 */
export async function countCalls<T>(
  fleet: Fleet,
  at: { pids: readonly number[]; output: string },
  work: () => Promise<T>,
): Promise<{ calls: CallCounts; result: T }> {
  const targets = at.pids.flatMap((pid) => ['-p', String(pid)]);
  const child = spawn('strace', ['-f', '-c', '-o', at.output, ...targets], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  fleet.adopt(child, 'strace');
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await attached(child, at.pids.length);
  const result = await work();
  child.kill('SIGINT');
  await ended;
  return { calls: parseCalls(readFileSync(at.output, 'utf8')), result };
}

/** strace says one line per process, however many threads it has. */
function attached(child: ChildProcess, processes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    const refuse = () => {
      clearTimeout(timer);
      reject(new RigError(`strace cannot attach: ${said.trim().split('\n')[0] ?? ''}`));
    };
    const timer = setTimeout(refuse, 5000);
    child.once('close', refuse);
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if ((said.match(/Process \d+ attached/g) ?? []).length < processes) return;
      clearTimeout(timer);
      child.off('close', refuse);
      resolve();
    });
  });
}

/** Parses the summary of strace -c: calls by name. */
export function parseCalls(text: string): Map<string, number> {
  const calls = new Map<string, number>();
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const [count, name] = [Number(fields[3]), fields.at(-1)];
    if (fields.length < 5 || !Number.isInteger(count) || name === undefined || name === 'total') continue;
    calls.set(name, (calls.get(name) ?? 0) + count);
  }
  return calls;
}
