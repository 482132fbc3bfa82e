// The machine as the rig uses it: one core for the proxy, another for load and upstream, and the bound on open files.

import { readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { RigError, run } from './tools.js';

/** Where things run. */
export interface Machine {
  /** The measured proxy alone. */
  readonly proxyCore: number;
  /** Load, upstream and this program. */
  readonly loadCore: number;
  /** Open files per process. */
  readonly fileLimit: number;
  /** One line for the report. */
  readonly text: string;
}

/** Reads the machine and pins this program, and what it starts unpinned, to the load's core. */
export function takeMachine(): Machine {
  const status = readFileSync('/proc/self/status', 'utf8');
  const cores = parseCpuList(/^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? '');
  const [proxyCore, loadCore] = cores;
  if (proxyCore === undefined || loadCore === undefined) {
    throw new RigError('two processor cores are needed: one for the proxy, one for load and upstream');
  }
  run(['taskset', '-a', '-c', '-p', String(loadCore), String(process.pid)]);
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const fileLimit = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1] ?? 1024);
  const model = cpus()[0]?.model ?? 'unknown processor';
  return { proxyCore, loadCore, fileLimit, text: `${model}, ${cores.length} cores, Linux ${release()}` };
}

/** The numbers of a list such as `0-2,5`. */
export function parseCpuList(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const [first, last] = part.split('-').map(Number);
    if (first === undefined || Number.isNaN(first) || part.trim() === '') return [];
    return Array.from({ length: (last ?? first) - first + 1 }, (_, at) => first + at);
  });
}
