// What the rest of the machine does while something is measured. In: the processes that are part of it; out: cores.

import { busyMicroseconds, cpuMicroseconds, cpuTime } from './cpu.js';

/** Begins now; the function it gives says how many cores everybody else has used since. */
export function watchOthers(pids: readonly number[]): () => number {
  const before = { at: performance.now(), machine: busyMicroseconds(), own: cpuTime(pids) };
  return () => {
    const elapsedUs = (performance.now() - before.at) * 1000;
    const own = cpuMicroseconds(before.own, cpuTime(pids));
    return Math.max(0, busyMicroseconds() - before.machine - own) / elapsedUs;
  };
}
