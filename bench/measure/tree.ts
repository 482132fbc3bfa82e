// Process trees and their identities, from /proc/PID/stat. A process is its id and its start time together: an id that
// was given to somebody else in between is not it.

import { readdirSync, readFileSync } from 'node:fs';

/** One process, told apart from a later one with the same id. */
export interface Identity {
  readonly pid: number;
  /** In clock ticks since boot. */
  readonly startTime: string;
}

/** What we read of /proc/PID/stat. */
export interface ProcessStat {
  readonly state: string;
  readonly parent: number;
  /** User and system time in clock ticks, over all threads, ended ones included. */
  readonly ticks: number;
  readonly startTime: string;
}

/** Parses /proc/PID/stat (proc(5)); the program's name may hold spaces and parentheses. */
export function parseStat(text: string): ProcessStat | undefined {
  const close = text.lastIndexOf(')');
  if (close < 0) return undefined;
  const fields = text
    .slice(close + 1)
    .trim()
    .split(/\s+/);
  const [state, parent, startTime] = [fields[0], fields[1], fields[19]];
  if (state === undefined || parent === undefined || startTime === undefined) return undefined;
  return { state, parent: Number(parent), ticks: Number(fields[11]) + Number(fields[12]), startTime };
}

/** The statistics of a process, or undefined when it is gone. */
export function statOf(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Who a process is, or undefined when it is gone. */
export function identityOf(pid: number): Identity | undefined {
  const stat = statOf(pid);
  return stat === undefined ? undefined : { pid, startTime: stat.startTime };
}

/** Whether exactly this process still runs (a zombie does not). */
export function isAlive(identity: Identity): boolean {
  const stat = statOf(identity.pid);
  return stat !== undefined && stat.startTime === identity.startTime && stat.state !== 'Z';
}

/** A process and all its descendants; empty when it is gone. */
export function treeOf(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? statOf(pid) : undefined;
    if (stat !== undefined) parents.set(pid, stat.parent);
  }
  return descendants(root, parents);
}

/** The same on a given table of child → parent. */
export function descendants(root: number, parents: ReadonlyMap<number, number>): number[] {
  const tree = parents.has(root) ? [root] : [];
  for (const member of tree) {
    for (const [pid, parent] of parents) if (parent === member) tree.push(pid);
  }
  return tree;
}
