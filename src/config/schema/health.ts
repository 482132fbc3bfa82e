// How a service's endpoints are watched: asked whether they are well, and left out while they fail.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { checkHostname, splitAuthority } from '../format/hostname.js';
import { checkPath } from '../format/path.js';
import { DAY_MS, HOUR_MS } from './bounds.js';
import { duration, integer, plainText, text } from './scalar.js';

const check = DEFAULTS.service.healthCheck;
const outlier = DEFAULTS.service.outlierDetection;

/** `healthCheck` of a service: exactly one of `http`, `grpc` and `tcp`. */
export const healthCheck = z
  .strictObject({
    http: z
      .strictObject({
        path: text(checkPath).describe('Where to ask.'),
        host: text((value) => checkHostname(splitAuthority(value).host, 'plain'))
          .optional()
          .describe("The Host. Default: the endpoint's own."),
      })
      .optional()
      .describe('Asked with GET; 2xx is well.'),
    grpc: z
      .strictObject({
        service: plainText(253)
          .prefault('')
          .describe('The service that is asked about; empty: the whole server.'),
      })
      .optional()
      .describe('Asked by grpc.health.v1; SERVING is well.'),
    tcp: z.literal(true).optional().describe('A connection, its TLS handshake included, is well.'),
    interval: duration({ min: 10, max: DAY_MS })
      .optional()
      .describe(
        `Between two questions to an endpoint. Default: ${check.interval}, without traffic ${check.idleInterval}.`,
      ),
    timeout: duration({ max: HOUR_MS })
      .optional()
      .describe(
        `A later answer counts as a failure. Default: ${check.timeout}, or the interval where that is shorter.`,
      ),
    unhealthyAfter: integer(1, 1000)
      .prefault(check.unhealthyAfter)
      .describe('Failures in a row until an endpoint is left out.'),
    healthyAfter: integer(1, 1000)
      .prefault(check.healthyAfter)
      .describe('Successes in a row until it is used again.'),
  })
  .describe('Endpoints are asked whether they are well.');

const successRate = z.union([
  z.strictObject({
    percent: integer(1, 100).prefault(outlier.successPercent).describe('Below this an endpoint is ejected.'),
    window: duration({ min: 100, max: HOUR_MS })
      .prefault(outlier.successWindow)
      .describe('Over which it is counted.'),
    minRequests: integer(1, 1_000_000)
      .prefault(outlier.successMinRequests)
      .describe('Fewer requests in the window say nothing.'),
  }),
  z.literal('off'),
]);

/** `outlierDetection` of a service. */
export const outlierDetection = z
  .strictObject({
    consecutiveErrors: integer(0, 1_000_000)
      .prefault(outlier.consecutiveErrors)
      .describe('Errors in a row until an endpoint is ejected; 0: never for that.'),
    successRate: successRate
      .prefault({})
      .describe('The share of successes below which an endpoint is ejected; off: never for that.'),
    baseEjection: duration({ max: DAY_MS })
      .prefault(outlier.baseEjection)
      .describe('How long the first ejection lasts; each further one twice as long.'),
    maxEjection: duration({ max: DAY_MS })
      .optional()
      .describe(
        `The longest that an ejection lasts. Default: ${outlier.maxEjection}, or baseEjection where that is longer.`,
      ),
    maxEjectedPercent: integer(0, 100)
      .prefault(outlier.maxEjectedPercent)
      .describe('Of the endpoints with a weight; beyond it, ejected endpoints are used again.'),
  })
  .describe('Endpoints that fail are left out for a while.');

/** The same after check. */
export type CheckedHealthCheck = z.output<typeof healthCheck>;
/** The same after check. */
export type CheckedOutlierDetection = z.output<typeof outlierDetection>;
