// What is done on the way: changes to headers, path and host; an answer of our own; copies, faults and limits.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { checkHostname, splitAuthority } from '../format/hostname.js';
import { checkEditableHeaderName, checkHeaderValue } from '../format/http.js';
import { checkPath } from '../format/path.js';
import { integer, text } from './scalar.js';
import { fault, mirror, rateLimit } from './traffic.js';

const editableHeader = text(checkEditableHeaderName);

const headerEdits = z.strictObject({
  remove: z.array(editableHeader).max(100).prefault([]).describe('Taken out.'),
  set: z.record(editableHeader, text(checkHeaderValue)).prefault({}).describe('Replaces all of that name.'),
  add: z.record(editableHeader, text(checkHeaderValue)).prefault({}).describe('Added beside what is there.'),
});

const pathEdit = z
  .union([
    text(checkPath),
    z.strictObject({
      full: text(checkPath).optional().describe('The whole path is replaced; the query stays.'),
      replacePrefix: text(checkPath)
        .optional()
        .describe('The matched prefix is replaced: / turns /v1/a into /a.'),
    }),
  ])
  .describe('The new path, whole or in place of the matched prefix.');

const host = text((value) => checkHostname(value, 'plain'));
/** A host, with the port that is to be sent after it. */
const authority = text((value) => checkHostname(splitAuthority(value).host, 'plain'));

/** One entry of `filters`: exactly one of the keys. */
export const filter = z
  .strictObject({
    requestHeaders: headerEdits
      .optional()
      .describe('Changes to the headers of requests: remove, then set, then add.'),
    responseHeaders: headerEdits
      .optional()
      .describe('Changes to the headers of answers: remove, then set, then add.'),
    rewrite: z
      .strictObject({
        path: pathEdit.optional(),
        host: authority.optional().describe('The new Host, with a port where one is to be sent.'),
      })
      .optional()
      .describe('Changes what is asked for.'),
    redirect: z
      .strictObject({
        status: z
          .literal([301, 302, 303, 307, 308])
          .prefault(DEFAULTS.route.redirectStatus)
          .describe('The status of the answer.'),
        scheme: z.enum(['http', 'https']).optional().describe('The new scheme.'),
        host: host.optional().describe('The new host, without a port.'),
        port: integer(1, 65_535).optional().describe('The new port.'),
        path: pathEdit.optional(),
      })
      .optional()
      .describe('Answers with a redirect instead of forwarding. What is left out is kept from the request.'),
    mirror: mirror.optional(),
    fault: fault.optional(),
    rateLimit: rateLimit.optional(),
  })
  .describe('One change.');

/** The same after check. */
export type CheckedFilter = z.output<typeof filter>;
/** Header edits after check. */
export type CheckedHeaderEdits = z.output<typeof headerEdits>;
/** A path edit after check. */
export type CheckedPathEdit = z.output<typeof pathEdit>;
