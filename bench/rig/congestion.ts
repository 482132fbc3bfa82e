// One TCP congestion control for everybody: cubic where we may set it, put back afterwards; otherwise what is there,
// which is the same for all peers too.

import { readFileSync, writeFileSync } from 'node:fs';

const CURRENT = '/proc/sys/net/ipv4/tcp_congestion_control';
const AVAILABLE = '/proc/sys/net/ipv4/tcp_available_congestion_control';

/** What is in force while the benchmark runs, and the way back. */
export interface Congestion {
  /** For the report. */
  readonly text: string;
  /** Puts back what was there; safe to call twice and while exiting. */
  restore(): void;
}

/** Sets cubic, or else reno, for the connections of this machine if we may. */
export function setCongestion(): Congestion {
  const before = read(CURRENT);
  const wanted = ['cubic', 'reno'].find((name) => read(AVAILABLE).split(' ').includes(name));
  if (before === 'cubic' || before === 'reno' || wanted === undefined || !write(wanted)) {
    return { text: `${before} for all, as found`, restore: () => {} };
  }
  let restored = false;
  const restore = () => {
    if (!restored) restored = write(before);
  };
  return { text: `${wanted} for all (was ${before}, restored afterwards)`, restore };
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return 'unknown';
  }
}

function write(name: string): boolean {
  try {
    writeFileSync(CURRENT, name);
    return read(CURRENT) === name;
  } catch {
    return false;
  }
}
