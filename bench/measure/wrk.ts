// wrk, the closed-loop load: a fixed number of connections, the next request as soon as the answer is there.

import { startGenerator } from './generator.js';
import type { LoadReport, LoadRun, Track } from './load.js';

/** What to load, and how. */
export interface WrkJob {
  readonly url: string;
  readonly connections: number;
  /** A Lua script with the requests, or undefined for plain GETs of the URL. */
  readonly script: string | undefined;
  /** Header lines. */
  readonly headers?: readonly string[];
  readonly core: number;
}

/** Longest run, should nobody stop it. */
const BOUND_S = 120;

/** Starts wrk; it runs until it is stopped. */
export function startWrk(job: WrkJob, track: Track): LoadRun {
  const script = job.script === undefined ? [] : ['-s', job.script];
  const load = [
    '-t',
    '1',
    '-c',
    String(job.connections),
    '-d',
    `${BOUND_S}s`,
    '--timeout',
    '5s',
    ...script,
    ...(job.headers ?? []).flatMap((line) => ['-H', line]),
    job.url,
  ];
  const { pid, end } = startGenerator('wrk', ['wrk', ...load], { core: job.core, track });
  return { pid, stop: async () => parseWrk(await end('SIGINT')) };
}

/** Parses wrk's summary. */
export function parseWrk(text: string): LoadReport {
  const requests = /^\s*(\d+) requests in /m.exec(text)?.[1];
  if (requests === undefined) throw new Error(`wrk gave no summary: ${text.trim().split('\n').at(-1) ?? ''}`);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const bad = /Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1];
  return {
    requests: Number(requests),
    socketErrors: (errors?.slice(1) ?? []).reduce((total, one) => total + Number(one), 0),
    badStatus: Number(bad ?? 0),
  };
}
