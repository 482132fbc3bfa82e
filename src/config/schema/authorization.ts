// An authorization policy as people write it: who may call what.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { checkSpiffeId } from '../format/spiffe.js';
import { method, pathMatch } from './match.js';
import { name, text } from './scalar.js';

const rule = z
  .strictObject({
    from: z
      .array(text(checkSpiffeId).meta({ examples: ['spiffe://example.test/ns/shop/sa/web'] }))
      .min(1)
      .max(10_000)
      .optional()
      .describe('SPIFFE IDs of callers. Default: any authenticated caller for allow, everybody for deny.'),
    methods: z.array(method).min(1).max(100).optional().describe('Default: any.'),
    paths: z.array(pathMatch).min(1).max(10_000).optional().describe('On the normalized path. Default: any.'),
  })
  .describe('Conditions that must all hold.');

/** One entry of `authorization`. */
export const policy = z
  .strictObject({
    name: name().describe('Its name in metrics, logs and diagnostics.'),
    listeners: z.array(name()).min(1).max(1000).optional().describe('The listeners it guards.'),
    service: name().optional().describe('Mesh: the service it guards.'),
    action: z
      .enum(['allow', 'deny'])
      .describe('A listener named by an enforced allow policy refuses everyone else; deny wins over allow.'),
    mode: z
      .enum(['enforce', 'shadow'])
      .prefault(DEFAULTS.policyMode)
      .describe('shadow: decide, count and record, but let the request pass.'),
    rules: z.array(rule).min(1).max(10_000).describe('It fits a request when one of these does.'),
  })
  .describe('A policy.');

/** The same after check. */
export type CheckedPolicy = z.output<typeof policy>;
