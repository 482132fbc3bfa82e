// When and how often another attempt is made.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { HOUR_MS } from './bounds.js';
import { duration, integer } from './scalar.js';

const bounds = DEFAULTS.route;

/** The failures that have a name. */
export const RETRY_CONDITIONS = [
  'connect-failure',
  'reset',
  'gateway-error',
  '5xx',
  'per-try-timeout',
  'grpc-cancelled',
  'grpc-deadline-exceeded',
  'grpc-internal',
  'grpc-resource-exhausted',
  'grpc-unavailable',
] as const;

const backoff = z
  .strictObject({
    base: duration({ min: 0, max: HOUR_MS })
      .prefault(bounds.backoffBase)
      .describe('The longest wait before the first retry; before each further one up to twice as long.'),
    max: duration({ min: 0, max: HOUR_MS })
      .optional()
      .describe('The longest wait. Default: ten times the base.'),
  })
  .prefault({})
  .describe('How long to wait before a retry, with full jitter.');

const budget = z
  .strictObject({
    percent: integer(0, 100).prefault(bounds.budgetPercent).describe('Of the requests of the last 10 s.'),
    minPerSecond: integer(0, 1_000_000)
      .prefault(bounds.budgetMinPerSecond)
      .describe('Always allowed beside them.'),
  })
  .prefault({})
  .describe('How many retries there may be.');

const hedge = z
  .strictObject({
    percentile: integer(50, 99)
      .prefault(bounds.hedgePercentile)
      .describe('A request that is slower than this share of them is sent to a second endpoint, too.'),
    maxPercent: integer(1, 100)
      .prefault(bounds.hedgeMaxPercent)
      .describe('How many requests more than without.'),
  })
  .describe(
    'The faster of two answers counts; only idempotent requests, {} takes its defaults. Default: none.',
  );

/** `retry` of a rule. */
export const retry = z
  .strictObject({
    attempts: integer(0, 10).prefault(bounds.retryAttempts).describe('Retries after the first try.'),
    on: z
      .array(z.union([integer(400, 599), z.enum(RETRY_CONDITIONS)]))
      .max(100)
      .prefault([...bounds.retryOn])
      .describe('After which failures; a number is a status.'),
    backoff,
    budget,
    nonIdempotent: z
      .boolean()
      .prefault(bounds.nonIdempotent)
      .describe('Requests of any method are retried, even where they may have been seen.'),
    hedge: hedge.optional(),
  })
  .prefault({})
  .describe('When and how often another attempt is made.');

/** The same after check. */
export type CheckedRetry = z.output<typeof retry>;
