// Bounds on what a service is sent. All of them are per process.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { HOUR_MS, LIMIT_MAX } from './bounds.js';
import { duration, integer } from './scalar.js';

const bounds = DEFAULTS.service;

const endpoint = z
  .strictObject({
    connections: integer(1, LIMIT_MAX).optional().describe('Open connections. Default: any number.'),
    requests: integer(1, LIMIT_MAX).optional().describe('Requests under way. Default: any number.'),
  })
  .prefault({})
  .describe('Bounds for each endpoint.');

const adaptive = z
  .strictObject({
    min: integer(1, LIMIT_MAX)
      .optional()
      .describe(
        `Requests that are always let through. Default: ${bounds.adaptiveMin}, or max where that is lower.`,
      ),
    max: integer(1, LIMIT_MAX)
      .optional()
      .describe(`Requests at most. Default: ${bounds.adaptiveMax}, or limits.requests.`),
  })
  .describe('A limit on requests that follows the latency; {} takes its defaults. Default: none.');

/** `limits` of a service. */
export const limits = z
  .strictObject({
    connections: integer(1, LIMIT_MAX)
      .prefault(bounds.connections)
      .describe('Open connections to the service.'),
    requests: integer(1, LIMIT_MAX)
      .optional()
      .describe('Requests under way; further ones wait as for a connection. Default: any number.'),
    pending: integer(0, 1 << 20)
      .prefault(bounds.pending)
      .describe('Requests that wait for a connection when all are busy.'),
    queueTimeout: duration({ max: HOUR_MS }).prefault(bounds.queueTimeout).describe('How long they wait.'),
    retries: integer(0, LIMIT_MAX)
      .optional()
      .describe('Retries under way; a further one is not made. Default: any number.'),
    endpoint,
    adaptive: adaptive.optional(),
  })
  .prefault({})
  .describe('Bounds per process.');

/** The same after check. */
export type CheckedLimits = z.output<typeof limits>;
