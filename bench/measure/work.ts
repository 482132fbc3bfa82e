// How an endpoint works on requests: each for a few milliseconds beside the others, or by so many workers that the rest
// have to queue. In: chance and figures; out: a Work.

import type { Work } from './endpoint.js';

/** Every request takes `lowMs` to `highMs`, however many there are. */
export function jittered(random: () => number, of: { lowMs: number; highMs: number }): Work {
  return (done) => void setTimeout(done, of.lowMs + random() * (of.highMs - of.lowMs));
}

/** A service with a known capacity: 1000 × workers ÷ serviceMs requests per second. */
export interface Capacity {
  readonly workers: number;
  /** Work on each request, in milliseconds. */
  readonly serviceMs: number;
}

/**
 * So many workers and one queue without an end, first come, first served; a request is worked on even when its caller has
 * given up, as a thread that began would. Workers are reckoned, not timed: a timer that fires late takes no capacity away.
 */
export class Workers {
  readonly #serviceMs: number;
  /** When each worker will be idle. */
  readonly #free: number[];
  /** Ends of the requests under way and queued, in order. */
  readonly #ends: { readonly at: number; readonly done: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(of: Capacity) {
    this.#serviceMs = of.serviceMs;
    this.#free = Array.from({ length: of.workers }, () => 0);
  }

  /** Requests under way and queued. */
  get load(): number {
    return this.#ends.length;
  }

  /** Works on a request. */
  readonly work: Work = (done) => {
    const now = performance.now();
    const first = this.#free.reduce((best, at, worker) => (at < (this.#free[best] ?? 0) ? worker : best), 0);
    const at = Math.max(now, this.#free[first] ?? 0) + this.#serviceMs;
    this.#free[first] = at;
    this.#ends.push({ at, done });
    this.#timer ??= this.#wait(now);
  };

  #wait(now: number): NodeJS.Timeout {
    return setTimeout(() => this.#finish(), Math.max(1, (this.#ends[0]?.at ?? now) - now));
  }

  #finish(): void {
    const now = performance.now();
    const still = this.#ends.findIndex(({ at }) => at > now);
    const over = this.#ends.splice(0, still < 0 ? this.#ends.length : still);
    this.#timer = this.#ends.length > 0 ? this.#wait(now) : undefined;
    for (const { done } of over) done();
  }
}
