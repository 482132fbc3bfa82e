// Counts outcomes of requests and their latencies. In: one outcome after the other; out: figures that add up.

import { build, type Histogram } from 'hdr-histogram-js';
import type { Outcome } from './caller.js';

/** What became of some requests. Latencies in microseconds, from when a request was sent. */
export interface Figures {
  readonly sent: number;
  /** Answers of 2xx. */
  readonly ok: number;
  /** The same that came in good time. */
  readonly good: number;
  /** Without an answer: refused, closed, given up. */
  readonly lost: number;
  /** Answers by status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Of all requests; a lost one took as long as its caller waited. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Of those answered with 2xx. */
  readonly okP50: number;
  readonly okP99: number;
}

const LONGEST_US = 60_000_000;

function histogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST_US,
    numberOfSignificantValueDigits: 3,
  });
}

/** Grows by one outcome at a time. */
export class Tally {
  readonly #all = histogram();
  readonly #ok = histogram();
  readonly #goodUs: number;
  readonly #statuses: Record<string, number> = {};
  #sent = 0;
  #good = 0;
  #lost = 0;

  /** An answer of 2xx is good up to so many milliseconds after the request was sent. */
  constructor(goodMs: number) {
    this.#goodUs = goodMs * 1000;
  }

  /** Counts a request. */
  add(outcome: Outcome, latencyUs: number): void {
    const latency = Math.min(LONGEST_US, Math.max(1, Math.round(latencyUs)));
    this.#sent += 1;
    this.#all.recordValue(latency);
    if (outcome === 'lost') {
      this.#lost += 1;
      return;
    }
    this.#statuses[outcome] = (this.#statuses[outcome] ?? 0) + 1;
    if (outcome < 200 || outcome > 299) return;
    this.#ok.recordValue(latency);
    if (latency <= this.#goodUs) this.#good += 1;
  }

  /** All so far. */
  figures(): Figures {
    return {
      sent: this.#sent,
      ok: this.#ok.totalCount,
      good: this.#good,
      lost: this.#lost,
      statuses: { ...this.#statuses },
      p50: this.#all.getValueAtPercentile(50),
      p99: this.#all.getValueAtPercentile(99),
      max: this.#all.maxValue,
      okP50: this.#ok.getValueAtPercentile(50),
      okP99: this.#ok.getValueAtPercentile(99),
    };
  }
}
