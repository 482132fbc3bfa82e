// wrk, the closed-loop load: a fixed number of connections, the next request as soon as the answer is there.

import { spawn } from 'node:child_process';

/** What wrk reports of a whole run. */
export interface WrkReport {
  readonly requests: number;
  /** Connections refused, reads and writes that failed, timeouts. */
  readonly socketErrors: number;
  /** Answers with a status of 400 or above. */
  readonly badStatus: number;
}

/** What to load, and how. */
export interface WrkJob {
  readonly url: string;
  readonly connections: number;
  /** A Lua script with the requests, or undefined for plain GETs of the URL. */
  readonly script: string | undefined;
  readonly core: number;
}

/** A running wrk. */
export interface WrkRun {
  readonly pid: number;
  /** Ends the load; its report. Rejects when wrk failed or ended by itself before. */
  stop(): Promise<WrkReport>;
}

/** Longest run, should nobody stop it. */
const BOUND_S = 120;

/** Starts wrk; it runs until {@link WrkRun.stop}. */
export function startWrk(job: WrkJob, track: (child: ReturnType<typeof spawn>) => void): WrkRun {
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
    job.url,
  ];
  const child = spawn('taskset', ['-c', String(job.core), 'wrk', ...load], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  track(child);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async () => {
    if (child.exitCode !== null) throw new Error(`wrk ended early: ${text.trim().split('\n').at(-1) ?? ''}`);
    child.kill('SIGINT');
    await ended;
    return parseWrk(text);
  };
  return { pid: child.pid ?? 0, stop };
}

/** Parses wrk's summary. */
export function parseWrk(text: string): WrkReport {
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
