// How an endpoint of a service is picked.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { checkCookieName } from '../format/http.js';
import { HOUR_MS } from './bounds.js';
import { requestKey } from './key.js';
import { duration, integer, plainText, text } from './scalar.js';

const bounds = DEFAULTS.service;

const affinity = z
  .strictObject({
    cookie: text(checkCookieName).describe('Its name.'),
    maxAge: duration({ min: 1000 })
      .optional()
      .describe('How long a client keeps it, rounded up to whole seconds. Default: until the browser ends.'),
  })
  .describe('A cookie names the endpoint that a client stays with, also while that one drains.');

const labelWeight = z.strictObject({
  labels: z.record(plainText(253), plainText(253)).describe('Labels that an endpoint must all have.'),
  weight: integer(0, 1_000_000).describe("What the endpoint's weight is multiplied by; 0: it drains."),
});

/** `loadBalancing` of a service. */
export const loadBalancing = z
  .strictObject({
    policy: z
      .enum(['round-robin', 'random', 'least-request', 'peak-ewma', 'ring-hash', 'maglev'])
      .prefault(bounds.balancing)
      .describe(
        'By turns, by chance, by open requests, by latency and load, or by a key of the request (ring-hash, maglev).',
      ),
    key: requestKey
      .optional()
      .describe('ring-hash, maglev: what they look at: one of header, cookie, source, path, identity.'),
    preferZone: z
      .boolean()
      .prefault(bounds.preferZone)
      .describe("Endpoints of the proxy's own zone first, as long as they can carry their share."),
    slowStart: duration({ min: 0, max: HOUR_MS })
      .prefault(bounds.slowStart)
      .describe('An endpoint that is new or came back gets its full share after this; 0s: at once.'),
    affinity: affinity.optional(),
    weights: z
      .array(labelWeight)
      .max(100)
      .prefault([])
      .describe('Weights by label, times those of the endpoints; where several fit, all of them count.'),
  })
  .prefault({})
  .describe('How an endpoint is picked.');

/** The same after check. */
export type CheckedLoadBalancing = z.output<typeof loadBalancing>;
