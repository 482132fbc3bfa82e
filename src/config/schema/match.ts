// What a request must be like for a rule to apply.

import { z } from 'zod';
import { checkCookieName, checkCookieValue, checkHeaderName, checkMethod } from '../format/http.js';
import { checkPath } from '../format/path.js';
import { checkRegex } from '../format/regex.js';
import { plainText, text } from './scalar.js';

/** Exactly one of the three. */
export const pathMatch = z
  .strictObject({
    exact: text(checkPath).optional().describe('The whole path.'),
    prefix: text(checkPath)
      .optional()
      .describe('Whole segments: /v1 and /v1/ match /v1, /v1/ and /v1/x, not /v10.'),
    regex: text(checkRegex).optional().describe("The whole path, in the syntax of Rust's regex crate."),
  })
  .describe('A condition on the normalized path: exact, prefix or regex.');

/** A method, in upper case. */
export const method = text(checkMethod).meta({ examples: ['GET', 'POST'] });

/** One entry of `matches`. */
export const match = z
  .strictObject({
    path: pathMatch.optional(),
    method: method.optional().describe('As sent: methods have a case.'),
    headers: z
      .record(text(checkHeaderName), plainText(8192))
      .prefault({})
      .describe('Headers that must be there with exactly this value.'),
    query: z
      .record(plainText(8192), plainText(8192))
      .prefault({})
      .describe('Query parameters that must be there with exactly this value.'),
    cookies: z
      .record(text(checkCookieName), text(checkCookieValue))
      .prefault({})
      .describe('Cookies that must be there with exactly this value; their names have a case.'),
  })
  .describe('Conditions that must all hold.');

/** The same after check. */
export type CheckedMatch = z.output<typeof match>;
/** The same after check. */
export type CheckedPathMatch = z.output<typeof pathMatch>;
