// A load generator as a process. In: its command, the core it may use; out: what it said, once it has ended.

import { spawn } from 'node:child_process';
import type { Track } from './load.js';

/** A generator that runs. */
export interface Generator {
  readonly pid: number;
  /** Waits for its end, told to by `signal` or not; all it printed. Rejects when it has ended by itself before. */
  end(signal?: 'SIGINT'): Promise<string>;
}

/** Starts a program under this name, pinned to a core. */
export function startGenerator(
  name: string,
  command: readonly string[],
  { core, track }: { core: number; track: Track },
): Generator {
  const child = spawn('taskset', ['-c', String(core), ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  track(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  }
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const end = async (signal?: 'SIGINT'): Promise<string> => {
    if (child.exitCode !== null)
      throw new Error(`${name} ended early: ${text.trim().split('\n').at(-1) ?? ''}`);
    if (signal !== undefined) child.kill(signal);
    await ended;
    return text;
  };
  return { pid: child.pid ?? 0, end };
}
