// Defaults that follow from what is written beside them: one function each, for compile and for the rules.
// In: values as they are after check, durations in milliseconds. Out: the value that applies.

import { parseDuration } from '../lib/duration.js';
import { DEFAULTS } from './defaults.js';
import { HOUR_MS } from './schema/bounds.js';

const { healthCheck, outlierDetection, adaptiveMin, adaptiveMax } = DEFAULTS.service;

/** A default duration in milliseconds. */
export function toMs(text: string): number {
  return parseDuration(text) ?? 0;
}

/** The longest wait before a retry: at most an hour. */
export function backoffMaxOf({ base, max }: { base: number; max?: number | undefined }): number {
  return max ?? Math.min(base * DEFAULTS.route.backoffFactor, HOUR_MS);
}

/** The longest that an ejection lasts. */
export function maxEjectionOf({ base, max }: { base: number; max?: number | undefined }): number {
  return max ?? Math.max(base, toMs(outlierDetection.maxEjection));
}

/** When a health check asks, and how long it waits. An interval that is written holds without traffic, too. */
export function healthTimesOf(written: { interval?: number | undefined; timeout?: number | undefined }): {
  interval: number;
  idleInterval: number;
  timeout: number;
} {
  const interval = written.interval ?? toMs(healthCheck.interval);
  return {
    interval,
    idleInterval: written.interval ?? toMs(healthCheck.idleInterval),
    timeout: written.timeout ?? Math.min(toMs(healthCheck.timeout), interval),
  };
}

/** Between which numbers of requests an adaptive limit moves. */
export function adaptiveOf(
  written: { min?: number | undefined; max?: number | undefined },
  requests: number | undefined,
): { min: number; max: number } {
  const max = written.max ?? Math.max(requests ?? adaptiveMax, written.min ?? 0);
  return { min: written.min ?? Math.min(adaptiveMin, max), max };
}
