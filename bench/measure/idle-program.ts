// A program of its own that opens many connections, sends one request on each, and keeps them open until told to stop.
// In: a job by message, then `close` or `count`; out: how many stand.

import { Http2Lane } from './http2.js';
import { Lane, type LaneTarget } from './lane.js';

/** How many connections to open, and where. */
export interface IdleJob {
  readonly target: LaneTarget;
  readonly connections: number;
  /** HTTP/2 without TLS instead of HTTP/1.1. */
  readonly isHttp2: boolean;
}

/** Connections that stand, and the first failure while opening. */
export interface IdleReport {
  readonly open: number;
  readonly failure: string | undefined;
}

/** Connections being opened at a time. */
const AT_ONCE = 64;
/** Connections per source address, well below the range of ports that one address has. */
const PER_ADDRESS = 2000;

let lanes: (Lane | Http2Lane)[] = [];
let failure: string | undefined;

async function open(job: IdleJob): Promise<void> {
  let next = 0;
  const opener = async () => {
    while (next < job.connections && failure === undefined) {
      const from = `127.0.0.${2 + Math.floor(next / PER_ADDRESS)}`;
      next += 1;
      const target = { ...job.target, from };
      const lane = job.isHttp2 ? await Http2Lane.open(target) : await Lane.open(target);
      await lane.request();
      lanes.push(lane);
    }
  };
  const openers = Array.from({ length: AT_ONCE }, opener);
  await Promise.all(openers).catch((error: unknown) => {
    failure = error instanceof Error ? error.message : String(error);
  });
}

function report(): IdleReport {
  return { open: lanes.filter((lane) => lane.isOpen).length, failure };
}

async function handle(message: IdleJob | 'count' | 'close'): Promise<void> {
  if (message === 'close') {
    for (const lane of lanes) lane.close();
    lanes = [];
  } else if (message !== 'count') {
    await open(message);
  }
  process.send?.(report());
}

process.on('message', (message: IdleJob | 'count' | 'close') => {
  handle(message).catch(() => process.exit(1));
});
process.on('disconnect', () => process.exit());
