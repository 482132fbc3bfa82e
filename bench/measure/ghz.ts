// ghz, calls with a stream of messages each way: so many calls at a time, spread over connections. In: a port; out: how
// many messages were answered, from its JSON report.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ghzBinary } from '../rig/ghz.js';
import { startGenerator } from './generator.js';
import { PROTO, TEXT } from './grpc.js';
import type { Load, LoadReport, LoadRun, Track } from './load.js';

/** What is to be called, and where. */
export interface GhzJob extends Load {
  readonly port: number;
  readonly folder: string;
  readonly core: number;
}

/** Longest run, should nobody stop it. */
const BOUND_S = 120;

let reports = 0;

/** Starts ghz with one call at a time per connection; it runs until it is stopped. */
export function startGhz(job: GhzJob, track: Track): LoadRun {
  reports += 1;
  const { connections, messages = 1 } = job;
  const [proto, report] = [join(job.folder, 'bench.proto'), join(job.folder, `ghz-${reports}.json`)];
  writeFileSync(proto, PROTO);
  const load = [
    ...['--insecure', '--proto', proto, '--call', job.path.slice(1)],
    ...['-d', JSON.stringify({ text: TEXT }), '--stream-call-count', String(messages)],
    ...['--connections', String(connections), '-c', String(connections), '-z', `${BOUND_S}s`],
    ...['--cpus', '1', '-O', 'json', '-o', report, `127.0.0.1:${job.port}`],
  ];
  const { pid, end } = startGenerator('ghz', [ghzBinary(), ...load], { core: job.core, track });
  const stop = async () => {
    await end('SIGINT');
    return parseGhz(readFileSync(report, 'utf8'), { connections, messages });
  };
  return { pid, stop };
}

/**
 * Parses ghz's report: messages of the calls that succeeded. Calls under way at its end, one per connection, fail by its
 * own doing and count neither way.
 */
export function parseGhz(text: string, job: { connections: number; messages: number }): LoadReport {
  const parsed: unknown = JSON.parse(text);
  const codes =
    typeof parsed === 'object' && parsed !== null && 'statusCodeDistribution' in parsed
      ? parsed.statusCodeDistribution
      : undefined;
  if (typeof codes !== 'object' || codes === null) throw new Error('ghz reported no call');
  const each = Object.entries(codes).map(([code, count]) => [code, Number(count)] as const);
  const sum = (isCounted: (code: string) => boolean) =>
    each.filter(([code]) => isCounted(code)).reduce((total, [, count]) => total + count, 0);
  const ends = ['Canceled', 'Unavailable'];
  const cut = sum((code) => ends.includes(code));
  return {
    requests: sum((code) => code === 'OK') * job.messages,
    socketErrors: Math.max(0, cut - job.connections),
    badStatus: sum((code) => code !== 'OK' && !ends.includes(code)),
  };
}
