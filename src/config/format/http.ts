// The small grammars of HTTP (RFC 9110): methods, field names and values, and what an operator may not edit.
// In: the text. Out: the problem with it, or nothing.

import type { Problem } from '../diagnostic.js';
import { reservedHeader } from './reserved-header.js';

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const MAX_TOKEN = 256;
const MAX_VALUE = 8192;

/** The methods that RFC 9110 and RFC 5789 define. */
const METHODS: ReadonlySet<string> = new Set(
  'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH'.split(' '),
);

/** Checks a method: a token, and not a known one in the wrong case. */
export function checkMethod(text: string): Problem | undefined {
  const upper = text.toUpperCase();
  if (text !== upper && METHODS.has(upper)) {
    return {
      code: 'BAD_METHOD',
      message: `no request has the method \`${text}\``,
      hint: `methods have a case: ${upper}`,
    };
  }
  if (TOKEN.test(text) && text.length <= MAX_TOKEN) return undefined;
  return { code: 'BAD_METHOD', message: `${JSON.stringify(text)} is not a method` };
}

/** Checks a field name. */
export function checkHeaderName(text: string): Problem | undefined {
  if (TOKEN.test(text) && text.length <= MAX_TOKEN) return undefined;
  return {
    code: 'BAD_HEADER_NAME',
    message: `${JSON.stringify(text)} is not a header name`,
    ...(text.endsWith(':') ? { hint: 'write it without the colon' } : {}),
  };
}

/** Checks the name of a cookie (RFC 6265 section 4.1.1). */
export function checkCookieName(text: string): Problem | undefined {
  if (TOKEN.test(text) && text.length <= MAX_TOKEN) return undefined;
  return { code: 'BAD_COOKIE', message: `${JSON.stringify(text)} is not the name of a cookie` };
}

/** Checks the value of a cookie: what a client can send between `=` and `;`. */
export function checkCookieValue(text: string): Problem | undefined {
  if (/^([^\s\p{Cc};]([^\p{Cc};]*[^\s\p{Cc};])?)?$/u.test(text) && text.length <= MAX_VALUE) return undefined;
  const message = 'no cookie has this value: a `;`, a control character, a space at an end, or too long';
  return { code: 'BAD_COOKIE', message };
}

/** Checks the name of a field that a filter edits. */
export function checkEditableHeaderName(text: string): Problem | undefined {
  const problem = checkHeaderName(text);
  if (problem !== undefined) return problem;
  const instead = reservedHeader(text);
  if (instead === undefined) return undefined;
  const message = `\`${text}\` belongs to the proxy and cannot be edited`;
  return { code: 'RESERVED_HEADER', message, ...(instead === '' ? {} : { hint: instead }) };
}

/** Checks a field value: visible ASCII, spaces and tabs inside. */
export function checkHeaderValue(text: string): Problem | undefined {
  if (/^([!-~]([\t -~]*[!-~])?)?$/.test(text) && text.length <= MAX_VALUE) return undefined;
  if (/^[\t -~]*$/.test(text) && text.length <= MAX_VALUE) {
    return {
      code: 'BAD_HEADER_VALUE',
      message: 'a header value begins or ends with a space',
      hint: 'it would be lost on the way',
    };
  }
  return {
    code: 'BAD_HEADER_VALUE',
    message: `not a header value: visible ASCII, at most ${MAX_VALUE} bytes`,
  };
}
