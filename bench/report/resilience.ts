// The resilience and overload scenarios as tables for a terminal, and their figures as medians over the rounds. Pure.

import type { Figures } from '../measure/tally.js';
import { FAULTS, HEALED, WELL } from '../scenario/timeline.js';
import type { OverloadResult, OverloadStep, ResilienceResult, Results } from './results.js';
import { median } from './statistics.js';

const MIB = 1024 * 1024;
/** The name of all stages together. */
export const OVERALL = 'overall';

/** The stages that are shown: all but the calm ones between two faults, which the JSON has. */
export const SHOWN = [WELL, ...FAULTS.map(({ name }) => name), HEALED, OVERALL] as const;

/** A figure of one contender, the median over the rounds; undefined: not measured. */
export function resilienceOf(
  results: Results,
  peer: string,
  of: (result: ResilienceResult) => number | undefined,
): number | undefined {
  const all = results.resilience.filter((one) => one.peer === peer);
  const values = all.map(of).filter((value) => value !== undefined);
  // In half of the rounds or more there is none: then there is none.
  return values.length * 2 > all.length ? median(values) : undefined;
}

/** The figures of a stage, or of all. */
export function stageOf(result: ResilienceResult, stage: string): Figures | undefined {
  return stage === OVERALL ? result.overall : result.stages.find(({ name }) => name === stage)?.figures;
}

/** Requests without an answer of 2xx, in percent. */
export function failurePercent({ sent, ok }: Figures): number {
  return sent === 0 ? 0 : ((sent - ok) / sent) * 100;
}

/** The goodput of one contender at a load, the median over the rounds; undefined: not measured. */
export function goodputOf(results: Results, peer: string, load: number): number | undefined {
  return median(
    results.overload
      .filter((one) => one.peer === peer)
      .flatMap((one) => one.steps.find((step) => step.load === load)?.goodput ?? []),
  );
}

/** The most that any contender got through at any load: what the upstream gives here. Undefined: nothing was measured. */
export function peakGoodput(results: Results): number | undefined {
  const all = results.overload.flatMap((one) => one.steps.map((step) => step.goodput));
  return all.length === 0 ? undefined : Math.max(...all);
}

/** The tables of the resilience scenario. */
export function resilienceTables(results: Results, align: (rows: string[][]) => string[]): string[][] {
  if (results.resilience.length === 0) return [];
  const peers = [...new Set(results.resilience.map(({ peer }) => peer))];
  const stages = (title: string, show: (figures: Figures) => number, digits: number) =>
    align([
      [title, ...SHOWN],
      ...peers.map((peer) => [
        peer,
        ...SHOWN.map((stage) =>
          fixed(
            resilienceOf(results, peer, (result) => present(stageOf(result, stage), show)),
            digits,
          ),
        ),
      ]),
    ]);
  return [
    stages('ten endpoints, some ill: success, %', (figures) => 100 - failurePercent(figures), 3),
    stages('p50, ms', ({ p50 }) => p50 / 1000, 1),
    stages('p99, ms', ({ p99 }) => p99 / 1000, 1),
    stages('requests lost', ({ lost }) => lost, 0),
    faultTable(results, peers, align),
  ];
}

/** A row for each fault, and for each contender: its share meanwhile, when it was out, when it was back. */
function faultTable(
  results: Results,
  peers: readonly string[],
  align: (rows: string[][]) => string[],
): string[] {
  const attempts = (peer: string) => resilienceOf(results, peer, ({ amplification }) => amplification);
  const others = (peer: string) => resilienceOf(results, peer, (result) => result.others);
  const names = [...new Set(results.resilience.flatMap(({ faults }) => faults.map(({ name }) => name)))];
  return align([
    ['ill endpoint: share of its requests, s until out, s until back', ...peers],
    ...names.map((name) => [name, ...peers.map((peer) => faultCell(results, peer, name))]),
    ['requests at the endpoints per request', ...peers.map((peer) => fixed(attempts(peer), 3))],
    ['cores that other programs used meanwhile', ...peers.map((peer) => fixed(others(peer), 2))],
  ]);
}

function faultCell(results: Results, peer: string, name: string): string {
  const of = (key: 'share' | 'ejectMs' | 'readmitMs') =>
    resilienceOf(results, peer, ({ faults }) => faults.find((fault) => fault.name === name)?.[key]);
  const seconds = (milliseconds: number | undefined) =>
    fixed(milliseconds === undefined ? undefined : milliseconds / 1000, 1);
  return [fixed(of('share'), 2), seconds(of('ejectMs')), seconds(of('readmitMs'))]
    .map((text) => text.padStart(4))
    .join('  ');
}

/** The table of the overload scenario. */
export function overloadTable(results: Results, align: (rows: string[][]) => string[]): string[][] {
  const peak = peakGoodput(results);
  if (peak === undefined) return [];
  const rows = results.overload.flatMap((one) => one.steps.map((step) => overloadRow(one, step, peak)));
  const capacity = results.overload[0]?.capacity ?? 0;
  const head = [
    `upstream of ${capacity}/s`,
    'load',
    'goodput/s',
    'to peak',
    'p50 ms of 2xx',
    'p99 ms of 2xx',
    'lost',
    'high: good %',
    'admin unanswered',
    'slowest ms',
    'RSS MiB',
    'grown',
  ];
  return [align([head, ...rows])];
}

function overloadRow(one: OverloadResult, step: OverloadStep, peak: number): string[] {
  const { figures, high } = step;
  const ofProxy = (text: string) => (step.asked === 0 ? '-' : text);
  return [
    one.peer,
    `${step.load}×`,
    fixed(step.goodput, 0),
    fixed(step.goodput / peak, 2),
    fixed(figures.okP50 / 1000, 1),
    fixed(figures.okP99 / 1000, 1),
    String(figures.lost),
    fixed((high.good / high.sent) * 100, 1),
    ofProxy(`${step.unanswered}/${step.asked}`),
    ofProxy(fixed(step.slowestMs, 0)),
    ofProxy(fixed(step.rss / MIB, 1)),
    ofProxy(fixed((step.rss - one.idleRss) / MIB, 1)),
  ];
}

function present<T, U>(value: T | undefined, of: (value: T) => U): U | undefined {
  return value === undefined ? undefined : of(value);
}

function fixed(value: number | undefined, digits: number): string {
  return value === undefined || !Number.isFinite(value) ? '-' : value.toFixed(digits);
}
