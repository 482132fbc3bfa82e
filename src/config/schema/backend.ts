// Where requests go: services, or parts of them, by weight.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { integer, name } from './scalar.js';

/** One entry of `backends`. */
const backend = z.strictObject({
  service: name().describe('The name of a service.'),
  subset: name().optional().describe('A subset of the service. Default: all of its endpoints.'),
  weight: integer(0, 1_000_000).prefault(DEFAULTS.weight).describe('The share among the backends.'),
  fallback: z
    .boolean()
    .prefault(false)
    .describe('The weight moves to siblings while the subset has no usable endpoint.'),
});

/** `backends` of a rule. */
export const backends = z.array(backend).min(1).max(1000);

/** One backend after check. */
export type CheckedBackend = z.output<typeof backend>;
