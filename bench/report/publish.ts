// The end of a run: the table, the JSON file, the chart. In: everything that was found; out: the exit code.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchOptions } from '../options.js';
import { projectRoot } from '../rig/tools.js';
import { chartGroups, GROUPS, renderChart } from './chart.js';
import type { Results } from './results.js';
import { median } from './statistics.js';
import { renderTables } from './table.js';
import { verdicts } from './targets.js';

/** A run and what it ran on. */
export interface Facts {
  readonly results: Results;
  readonly options: BenchOptions;
  /** Peer → version. */
  readonly versions: ReadonlyMap<string, string>;
  readonly started: Date;
  readonly machine: string;
  readonly congestion: string;
}

/** How things were measured, for whoever reads the JSON alone. */
const METHOD = [
  'One worker per peer on one core; load (wrk; for HTTP/2 h2load, for gRPC streams ghz; closed loops) and upstream (nginx; for HTTP/2 one of our own) on another.',
  'The requests of grpc-stream are messages answered; those of tcp-connect are connections of one request each. A series with h2 is a pair that speaks HTTP/2 in between.',
  'Peers with h2 out: nginx by grpc_pass, whatever the requests are.',
  'CPU: nanoseconds of all threads of all processes of the peer (schedstat), per request counted by the upstream.',
  'Ratios are taken within a round; their median is over the rounds. A series with ′ is a second copy of the same peer.',
  'latency one: closed loop. latency rate: own open-loop sender, counted from when a request was due.',
  'others: processor time, in cores, of everything on the machine but the peer, the load, the upstream and the rig.',
  'Memory from smaps_rollup; 1 MiB is 2^20 bytes. System calls from strace -f -c in a run of their own.',
  'resilience and overload: callers and endpoints of our own, an open loop at a fixed rate, each request sent when it is due, on a new connection where all are busy; a lost one took as long as its caller waited. direct: callers take the endpoints by turns, without a proxy, and try once.',
  'An endpoint that is slow answers 200 ms later, one that fails answers half of the requests with 503 (health checks with 200), a silent one accepts and never answers.',
  'Shares of an endpoint: its requests of half a second to those of all, evenly divided. Out: below a tenth of it, back: half of it. Requests to a crashed endpoint never arrive.',
  'goodput: answers of 2xx within 1 s; to the best of any contender at any load. HAProxy is told the concurrency that suits the upstream, Tulle and Envoy find it.',
  'Trace headers are off at Tulle, because nginx and HAProxy make none; the nginx and HAProxy pairs check chain and DNS name, Tulle and Envoy chain and SPIFFE ID.',
];

/** Writes and prints a run; 1 when nothing could be measured, else 0: a missed target is told, not an error. */
export function publish(facts: Facts, options: BenchOptions): number {
  const { results } = facts;
  results.notes.push(...busyNote(results));
  const targets = verdicts(results);
  const json = `${JSON.stringify(document(facts, targets), undefined, 1)}\n`;
  const written = [join(projectRoot(), 'bench/results', `${stamp(facts.started)}.json`)];
  if (options.jsonFile !== undefined) written.push(options.jsonFile);
  mkdirSync(join(projectRoot(), 'bench/results'), { recursive: true });
  for (const file of written) writeFileSync(file, json);
  const groups = chartGroups(results);
  if (isPublishable(facts)) {
    const chart = join(projectRoot(), 'bench/chart.svg');
    writeFileSync(
      chart,
      renderChart(groups, `${[...facts.versions.values()].join(', ')}; median of ${options.rounds} rounds`),
    );
    written.push(chart);
  }
  const text = `${header(facts)}\n\n${renderTables(results, targets)}\nWritten: ${written.join(', ')}\n`;
  (options.jsonToStdout ? process.stderr : process.stdout).write(text);
  if (options.jsonToStdout) process.stdout.write(json);
  return isEmpty(results) ? 1 : 0;
}

/** The chart of the README is drawn only from a whole run: all its scenarios, all four peers, not `--quick`. */
function isPublishable({ results, options }: Facts): boolean {
  const groups = chartGroups(results);
  return !options.quick && groups.length === GROUPS && groups.every((group) => group.bars.length >= 4);
}

/** A remark when other programs used more than a tenth of a core, in the median over all windows. */
function busyNote(results: Results): string[] {
  const samples = [...results.throughput, ...results.routes].flatMap((series) => series.samples);
  const measured = [...samples, ...results.resilience, ...results.overload];
  const others = median(measured.map((one) => one.others)) ?? 0;
  if (others <= 0.1) return [];
  return [
    `the machine was busy: other programs used ${others.toFixed(2)} cores in the median window or run; do not trust this run`,
  ];
}

function isEmpty(results: Results): boolean {
  return Object.entries(results).every(([name, found]) => name === 'notes' || found.length === 0);
}

function document(facts: Facts, targets: ReturnType<typeof verdicts>): object {
  const { results, options, versions, started, machine, congestion } = facts;
  return {
    started: started.toISOString(),
    machine,
    congestion,
    versions: Object.fromEntries(versions),
    options,
    method: METHOD,
    targets,
    ...results,
  };
}

function header({ machine, congestion, versions, options }: Facts): string {
  return [
    [...versions.values()].join(', '),
    machine,
    `congestion control: ${congestion}; ${options.rounds} rounds of ${options.duration} s, interleaved`,
  ].join('\n');
}

function stamp(date: Date): string {
  return date.toISOString().replace(/[:.]/g, '-').slice(0, 19);
}
