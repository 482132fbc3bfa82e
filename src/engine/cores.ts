// How many cores this process may use: its affinity, and the quota of its control groups.
// In: the files of /proc and /sys (passed in). Out: the default number of workers.

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

/** The text of a file, or undefined where it cannot be read. */
export type ReadFile = (file: string) => string | undefined;

/** The most workers a snapshot may ask for. */
const MOST_WORKERS = 256;

/** Reads a file of this machine. */
export function readSystemFile(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** From 1 to 256: the cores of the affinity, less where a control group allows less; a part of a core counts as one. */
export function countCores(read: ReadFile, affinity: number = availableParallelism()): number {
  const allowed = Math.min(affinity, ...quotas(read));
  return Math.min(Math.max(Math.ceil(allowed), 1), MOST_WORKERS);
}

/** Cores allowed by each control group that has a quota, in both versions of the interface (cgroups(7)). */
function quotas(read: ReadFile): number[] {
  const found: number[] = [];
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [id, controllers = '', ...rest] = line.split(':');
    const group = rest.join(':');
    if (id === '0' && controllers === '') {
      for (const folder of upwards('/sys/fs/cgroup', group)) {
        found.push(toCores(read(path.join(folder, 'cpu.max'))?.trim().split(' ')));
      }
    } else if (controllers.split(',').includes('cpu')) {
      for (const folder of upwards('/sys/fs/cgroup/cpu', group)) {
        const names = ['cpu.cfs_quota_us', 'cpu.cfs_period_us'];
        found.push(toCores(names.map((name) => read(path.join(folder, name))?.trim() ?? '')));
      }
    }
  }
  return found.filter((cores) => Number.isFinite(cores) && cores > 0);
}

/** The group's folder and those above it: each may set a quota. In a container the mount shows only the lowest part. */
function upwards(mount: string, group: string): string[] {
  const folders = [mount];
  for (const part of group.split('/').filter((name) => name !== '' && name !== '..')) {
    folders.push(path.join(folders.at(-1) ?? mount, part));
  }
  return folders;
}

/** Quota and period in µs; `max` or -1 is no quota. */
function toCores([quota, period]: readonly string[] = []): number {
  return Number(quota) / Number(period);
}
