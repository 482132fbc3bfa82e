// A route as people write it: for which hosts and listeners, and its rules.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { backends } from './backend.js';
import { filter } from './filter.js';
import { hostnames } from './hostnames.js';
import { match } from './match.js';
import { duration, integer, name } from './scalar.js';

const bounds = DEFAULTS.route;

const timeouts = z
  .strictObject({
    request: duration({ min: 0 })
      .prefault(bounds.requestTimeout)
      .describe("From the request's last byte to the head of the response, over all attempts; 0s: no limit."),
    perTry: duration().optional().describe('The same for one attempt.'),
    streamIdle: duration({ min: 0 })
      .prefault(bounds.streamIdleTimeout)
      .describe('Bodies, streams and tunnels without a byte either way end after this; 0s: no limit.'),
  })
  .prefault({})
  .describe('How long things may take.');

const retry = z
  .strictObject({
    attempts: integer(0, 10).prefault(bounds.retryAttempts).describe('Retries after the first try.'),
    on: z
      .array(z.enum(['connect-failure', 'reset', 'gateway-error', '5xx', 'per-try-timeout']))
      .prefault([...bounds.retryOn])
      .describe('After which failures.'),
    backoff: z
      .strictObject({
        base: duration().optional().describe('Before the first retry; doubled for each further one.'),
        max: duration().optional().describe('The longest.'),
      })
      .optional()
      .describe('How long to wait before a retry, with full jitter.'),
    budget: z
      .strictObject({
        percent: integer(0, 100).optional().describe('Of the requests under way.'),
        minPerSecond: integer(0, 1_000_000).optional().describe('Always allowed.'),
      })
      .optional()
      .describe('How many retries there may be beside the requests themselves.'),
    nonIdempotent: z
      .boolean()
      .prefault(false)
      .describe('Requests of any method are retried, even where they may have been seen.'),
  })
  .prefault({})
  .describe('When and how often another attempt is made.');

const rule = z
  .strictObject({
    matches: z.array(match).max(1000).prefault([]).describe('Alternatives. Default: every request.'),
    filters: z.array(filter).max(100).prefault([]).describe('What is changed on the way.'),
    timeouts,
    retry,
    backends: backends.optional().describe('Where requests go, by weight.'),
  })
  .describe('What is done with requests that match.');

/** One entry of `routes`. */
export const route = z
  .strictObject({
    name: name().describe('Its name in metrics, logs and diagnostics.'),
    listeners: z
      .array(name())
      .min(1)
      .max(1000)
      .optional()
      .describe('Where it applies. Default: every http or auto listener that is neither admin nor probes.'),
    service: name().optional().describe('Mesh: calls to this service, from everywhere.'),
    hostnames: hostnames.optional(),
    rules: z
      .array(rule)
      .min(1)
      .max(100_000)
      .describe('The most specific match wins, then the order in the file.'),
  })
  .describe('A named group of rules.');

/** The same after check. */
export type CheckedRoute = z.output<typeof route>;
/** One rule after check. */
export type CheckedRule = z.output<typeof rule>;
