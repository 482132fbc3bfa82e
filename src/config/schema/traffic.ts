// Filters that shape traffic: copies of requests, failures on purpose, limits on a rate.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { checkHeaderName } from '../format/http.js';
import { HOUR_MS, LIMIT_MAX } from './bounds.js';
import { requestKey } from './key.js';
import { duration, integer, name, plainText, share, size, text } from './scalar.js';

const bounds = DEFAULTS.route;

const percent = share().prefault(bounds.percent).describe('Of the requests, to four decimals.');

/** Sends copies elsewhere. */
export const mirror = z
  .strictObject({
    service: name().describe('Where the copy goes.'),
    subset: name().optional().describe('A subset of the service. Default: all of its endpoints.'),
    percent,
  })
  .describe('Sends a copy elsewhere and throws the answer away.');

/** Failures on purpose. */
export const fault = z
  .strictObject({
    headers: z
      .record(text(checkHeaderName), plainText(8192))
      .prefault({})
      .describe('Only for requests that have these headers with exactly these values.'),
    delay: z
      .strictObject({ percent, duration: duration({ max: HOUR_MS }).describe('How long.') })
      .optional()
      .describe('Waits before the request is sent on.'),
    abort: z
      .strictObject({
        percent,
        status: integer(400, 599).describe('The status of the answer.'),
        grpcStatus: integer(1, 16)
          .optional()
          .describe('What gRPC calls get. Default: what the status stands for.'),
      })
      .optional()
      .describe('Answers instead of sending the request on.'),
    bandwidth: z
      .strictObject({
        percent,
        bytesPerSecond: z
          .union([integer(1, 2 ** 32 - 1), size({ max: 2 ** 32 - 1 })])
          .describe("Of the answer's body: a number, or a size such as 64KiB."),
      })
      .optional()
      .describe('Sends answers on slowly.'),
  })
  .describe('Delays, refuses or slows down some requests on purpose.');

/** A limit on requests. */
export const rateLimit = z
  .strictObject({
    requestsPerSecond: integer(1, 1_000_000).describe('Per process, and per value of the key.'),
    burst: integer(1, 1_000_000)
      .optional()
      .describe('How many pass at once from rest. Default: as many as in a second.'),
    key: requestKey
      .optional()
      .describe(
        'Each value has a limit of its own: one of header, cookie, source (an IPv6 /64 is one), path, identity. Default: one for all.',
      ),
    keys: integer(1, LIMIT_MAX)
      .prefault(bounds.rateLimitKeys)
      .describe(
        'Values with a limit of their own at a time; further ones share that of requests without the key.',
      ),
  })
  .describe('429 beyond a rate.');

/** The same after check. */
export type CheckedMirror = z.output<typeof mirror>;
/** The same after check. */
export type CheckedFault = z.output<typeof fault>;
/** The same after check. */
export type CheckedRateLimit = z.output<typeof rateLimit>;
