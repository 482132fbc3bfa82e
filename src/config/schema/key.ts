// What requests are told apart by: a header, a cookie, where they come from, their path, or who calls.

import { z } from 'zod';
import { checkCookieName, checkHeaderName } from '../format/http.js';
import { text } from './scalar.js';

/** The kinds of key; exactly one of them is written. */
export const KEY_KINDS = ['header', 'cookie', 'source', 'path', 'identity'] as const;

/** A key of requests: exactly one of {@link KEY_KINDS}. */
export const requestKey = z.strictObject({
  header: text(checkHeaderName).optional().describe('The first value of this header.'),
  cookie: text(checkCookieName).optional().describe('The value of this cookie.'),
  source: z.literal(true).optional().describe("The client's IP address."),
  path: z.literal(true).optional().describe('The normalized path, without the query.'),
  identity: z.literal(true).optional().describe("The caller's SPIFFE ID."),
});

/** The same after check. */
export type CheckedRequestKey = z.output<typeof requestKey>;
