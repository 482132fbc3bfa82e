// Memory of processes from /proc/PID/smaps_rollup, in bytes.

import { readFileSync } from 'node:fs';

/** Memory of one or more processes, in bytes. */
export interface Memory {
  /** Resident, shared pages counted in full. */
  readonly rss: number;
  /** Resident, shared pages divided by those who share them. */
  readonly pss: number;
  /** Not backed by a file: heap, stacks, what nobody shares. */
  readonly anonymous: number;
}

/** Parses one smaps_rollup. */
export function parseRollup(text: string): Memory {
  const field = (name: string) => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
    if (kib === undefined) throw new Error(`smaps_rollup has no ${name}`);
    return Number(kib) * 1024;
  };
  return { rss: field('Rss'), pss: field('Pss'), anonymous: field('Anonymous') };
}

/** The memory of some processes together. */
export function memoryOf(pids: readonly number[]): Memory {
  const each = pids.map((pid) => parseRollup(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')));
  return {
    rss: sum(each.map((one) => one.rss)),
    pss: sum(each.map((one) => one.pss)),
    anonymous: sum(each.map((one) => one.anonymous)),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
