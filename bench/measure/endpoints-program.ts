// A program of its own (forked, on the load's core): the endpoints of the resilience and overload scenarios. In: messages
// that open them, start a timeline of faults, ask how many requests came; out: one answer for each.

import type { Change, StartTime } from './behaviour.js';
import { Endpoint, SLICE_MS } from './endpoint.js';
import { seeded } from './random.js';
import type { Arrivals } from './shares.js';
import { type Capacity, jittered, Workers } from './work.js';

/** A message. Answers: `open` and `run` with `'done'`, the others with what they say. */
export type EndpointsMessage =
  /** Listens on these ports; with a capacity, all of them share its workers. */
  | {
      readonly kind: 'open';
      readonly ports: readonly number[];
      readonly seed: number;
      readonly capacity?: Capacity;
    }
  /** Counts anew and changes endpoints as told. */
  | { readonly kind: 'run'; readonly start: StartTime; readonly changes: readonly Change[] }
  /** Arrivals since the last run began. */
  | { readonly kind: 'arrivals' }
  /** Requests that the shared workers have not finished. */
  | { readonly kind: 'load' };

/** An answer. */
export type EndpointsAnswer = 'done' | Arrivals | { readonly load: number } | { readonly failure: string };

const JITTER = { lowMs: 2, highMs: 6 };

let endpoints: Endpoint[] = [];
let workers: Workers | undefined;

async function take(message: EndpointsMessage): Promise<EndpointsAnswer> {
  switch (message.kind) {
    case 'open': {
      const { ports, seed, capacity } = message;
      workers = capacity && new Workers(capacity);
      endpoints = ports.map((port, at) => {
        const random = seeded(seed + at);
        return new Endpoint(port, { random, work: workers?.work ?? jittered(random, JITTER) });
      });
      await Promise.all(endpoints.map((endpoint) => endpoint.open()));
      return 'done';
    }
    case 'run':
      run(message);
      return 'done';
    case 'arrivals':
      return { sliceMs: SLICE_MS, counts: endpoints.map((endpoint) => endpoint.counts()) };
    case 'load':
      return { load: workers?.load ?? 0 };
  }
}

function run({ start, changes }: { start: StartTime; changes: readonly Change[] }): void {
  const wait = start - Date.now();
  for (const endpoint of endpoints) endpoint.countFrom(performance.now() + wait);
  for (const { at, endpoint, behaviour } of changes) {
    setTimeout(() => {
      endpoints[endpoint]?.become(behaviour).catch((error: unknown) => {
        process.stderr.write(`endpoint ${endpoint}: ${String(error)}\n`);
        process.exit(1);
      });
    }, wait + at);
  }
}

process.on('message', (message: EndpointsMessage) => {
  take(message)
    .catch((error: unknown) => ({ failure: error instanceof Error ? error.message : String(error) }))
    .then((answer) => process.send?.(answer))
    .catch(() => process.exit(1));
});
process.on('disconnect', () => process.exit());
