// h2load, the closed loop over HTTP/2: connections with a number of requests at a time on each. It says nothing when it is
// ended early, so it runs for as long as a window needs and a little more.

import { startGenerator } from './generator.js';
import type { Load, LoadReport, LoadRun, Track } from './load.js';

/** Beside warm-up and window: starting the program, reading the counters. */
const SLACK_S = 0.25;

/** Starts h2load for one window. */
export function startH2load(
  job: Load & { readonly url: string; readonly core: number },
  track: Track,
): LoadRun {
  const { connections, streams = 1, body } = job;
  const milliseconds = Math.ceil((job.warmUp + job.duration + SLACK_S) * 1000);
  const load = [
    ...['-t', '1', '-c', String(connections), '-m', String(streams), '-D', `${milliseconds}ms`],
    ...(body === undefined ? [] : ['-d', body]),
    ...(job.headers ?? []).flatMap((line) => ['-H', line]),
    job.url,
  ];
  const { pid, end } = startGenerator('h2load', ['h2load', ...load], { core: job.core, track });
  return { pid, stop: async () => parseH2load(await end()) };
}

/** Parses h2load's summary. Requests under way at its end are in none of its figures but `started`. */
export function parseH2load(text: string): LoadReport {
  const counts =
    /^requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed, (\d+) errored, (\d+) timeout$/m.exec(
      text,
    );
  const codes = /^status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx$/m.exec(text);
  if (counts === null || codes === null)
    throw new Error(`h2load gave no summary: ${text.trim().split('\n').at(-1) ?? ''}`);
  const [done = 0, failed = 0, errored = 0, timeouts = 0] = counts.slice(1).map(Number);
  const badStatus = codes.slice(1).reduce((total, one) => total + Number(one), 0);
  // A bad status is among what failed; errors and timeouts are, too.
  return { requests: done, socketErrors: Math.max(errored + timeouts, failed - badStatus), badStatus };
}
