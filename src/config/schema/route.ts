// A route as people write it: for which hosts and listeners, and its rules.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { backends } from './backend.js';
import { filter } from './filter.js';
import { hostnames } from './hostnames.js';
import { requestKey } from './key.js';
import { match } from './match.js';
import { retry } from './retry.js';
import { duration, name } from './scalar.js';

const bounds = DEFAULTS.route;

const timeouts = z
  .strictObject({
    request: duration({ min: 0 })
      .prefault(bounds.requestTimeout)
      .describe("From the request's last byte to the head of the response, over all attempts; 0s: no limit."),
    perTry: duration().optional().describe('The same for one attempt. Default: no limit.'),
    streamIdle: duration({ min: 0 })
      .prefault(bounds.streamIdleTimeout)
      .describe('Bodies, streams and tunnels without a byte either way end after this; 0s: no limit.'),
  })
  .prefault({})
  .describe('How long things may take.');

const rule = z
  .strictObject({
    matches: z.array(match).max(1000).prefault([]).describe('Alternatives. Default: every request.'),
    filters: z.array(filter).max(100).prefault([]).describe('What is changed on the way.'),
    timeouts,
    retry,
    priority: z
      .enum(['low', 'normal', 'high'])
      .prefault(bounds.priority)
      .describe('Who is turned away first when there is too much to do: low before normal before high.'),
    sticky: requestKey
      .optional()
      .describe(
        'Requests with the same key go to the same backend: one of header, cookie, source, path, identity. Default: each is drawn anew.',
      ),
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
