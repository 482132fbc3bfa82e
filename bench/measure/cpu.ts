// CPU time of processes from the operating system: nanoseconds of every thread from /proc/PID/task/*/schedstat, checked
// against the coarser user + system ticks of /proc/PID/stat, which also count threads that have ended.

import { readdirSync, readFileSync } from 'node:fs';
import { statOf } from './tree.js';

/** CPU time used so far by some processes. */
export interface CpuTime {
  /** By the threads that live now, in nanoseconds. */
  readonly nanoseconds: number;
  /** By all threads ever, in clock ticks of 10 ms. */
  readonly ticks: number;
}

const MICROSECONDS_PER_TICK = 10_000;

/** The first number of a schedstat line: time on the processor in nanoseconds. */
export function parseSchedstat(text: string): number {
  const value = Number(text.trim().split(/\s+/)[0]);
  if (!Number.isFinite(value) || text.trim() === '')
    throw new Error(`not a schedstat line: ${JSON.stringify(text)}`);
  return value;
}

/** Reads the CPU time of processes. */
export function cpuTime(pids: readonly number[]): CpuTime {
  let nanoseconds = 0;
  let ticks = 0;
  for (const pid of pids) {
    ticks += statOf(pid)?.ticks ?? 0;
    for (const thread of readdirSync(`/proc/${pid}/task`))
      nanoseconds += threadTime(`/proc/${pid}/task/${thread}`);
  }
  return { nanoseconds, ticks };
}

function threadTime(folder: string): number {
  try {
    return parseSchedstat(readFileSync(`${folder}/schedstat`, 'utf8'));
  } catch {
    return 0; // the thread ended between the listing and the reading
  }
}

/**
 * Microseconds between two readings. The fine clock, unless the ticks say that it missed ended threads: then the ticks.
 * Two ticks of difference per reading are their own rounding.
 */
export function cpuMicroseconds(before: CpuTime, after: CpuTime): number {
  const fine = (after.nanoseconds - before.nanoseconds) / 1000;
  const coarse = (after.ticks - before.ticks) * MICROSECONDS_PER_TICK;
  return coarse - fine > 4 * MICROSECONDS_PER_TICK + 0.1 * coarse ? coarse : fine;
}

/** Ticks that all processors together were not idle, from the first line of /proc/stat: time stolen by the host included. */
export function parseBusyTicks(text: string): number {
  const fields = /^cpu +(.*)$/m.exec(text)?.[1]?.split(' ').map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields;
  return user + nice + system + irq + softirq + steal;
}

/** The same, now, in microseconds. */
export function busyMicroseconds(): number {
  return parseBusyTicks(readFileSync('/proc/stat', 'utf8')) * MICROSECONDS_PER_TICK;
}
