// The scalars of the language, as zod schemas: each checks its grammar and reports a problem with a code of ours.
// In: strings and numbers as written. Out: the same, but durations as whole milliseconds.

import { z } from 'zod';
import { MAX_DURATION_MS, parseDuration, toDuration } from '../../lib/duration.js';
import { MAX_SIZE, parseSize, toSize } from '../../lib/size.js';
import type { Problem } from '../diagnostic.js';

/** Text that a function looks over. The problem travels in the issue's params. */
export function text(check: (value: string) => Problem | undefined): z.ZodString {
  return z.string().check((context) => {
    const problem = check(context.value);
    if (problem === undefined) return;
    const { message } = problem;
    context.issues.push({ code: 'custom', input: context.value, message, params: { problem } });
  });
}

/** A whole number between two bounds, both included. */
export function integer(low: number, high: number): z.ZodInt {
  return z.int().min(low).max(high);
}

/** A percentage with at most four decimals; parts per million inside, without dust. */
export function share() {
  return z
    .number()
    .min(0)
    .max(100)
    .check((context) => {
      const { value } = context;
      // A quotient of whole numbers is the same float as its decimal text.
      if (Math.round(value * 10_000) / 10_000 === value || !(value >= 0 && value <= 100)) return;
      const message = 'the percentage has more than four decimals';
      const problem: Problem = { code: 'BAD_VALUE', message, hint: '0.0001 is one in a million' };
      context.issues.push({ code: 'custom', input: value, message, params: { problem } });
    })
    .transform((value) => Math.round(value * 10_000));
}

/** A duration; written `500ms`, `2s`, `5m` or `24h`, whole milliseconds inside. */
export function duration(bounds: { min?: number; max?: number } = {}) {
  const { min = 1, max = MAX_DURATION_MS } = bounds;
  return text((value) => checkDuration(value, min, max))
    .meta({ pattern: '^\\d{1,10}(ms|s|m|h)$', examples: ['500ms', '2s', '5m', '24h'] })
    .transform((value) => parseDuration(value) ?? 0);
}

function checkDuration(value: string, min: number, max: number): Problem | undefined {
  const ms = parseDuration(value);
  if (ms === undefined) {
    return {
      code: 'BAD_DURATION',
      message: `${JSON.stringify(value.slice(0, 32))} is not a duration of at most ${toDuration(MAX_DURATION_MS)}`,
      hint: 'a whole number and ms, s, m or h: 500ms, 2s, 5m, 24h',
    };
  }
  if (ms >= min && ms <= max) return undefined;
  return {
    code: 'OUT_OF_RANGE',
    message: `${value} is not between ${toDuration(min)} and ${toDuration(max)}`,
  };
}

/** A size; written `64KiB`, `256MiB` or `2GiB`, whole bytes inside. */
export function size(bounds: { min?: number; max?: number } = {}) {
  const { min = 1, max = MAX_SIZE } = bounds;
  return text((value) => checkSize(value, min, max))
    .meta({ pattern: '^\\d{1,10}(KiB|MiB|GiB)$', examples: ['256MiB', '2GiB'] })
    .transform((value) => parseSize(value) ?? 0);
}

function checkSize(value: string, min: number, max: number): Problem | undefined {
  const bytes = parseSize(value);
  if (bytes === undefined) {
    return {
      code: 'BAD_SIZE',
      message: `${JSON.stringify(value.slice(0, 32))} is not a size of at most ${toSize(MAX_SIZE)}`,
      hint: 'a whole number and KiB, MiB or GiB: 256MiB, 2GiB',
    };
  }
  if (bytes >= min && bytes <= max) return undefined;
  return {
    code: 'OUT_OF_RANGE',
    message: `${value} is not between ${toSize(min)} and ${toSize(max)}`,
  };
}

/** What operators call a listener, service, subset, route or policy; it becomes a metric label. */
export function name(): z.ZodString {
  return text(checkName).meta({ pattern: '^[A-Za-z][A-Za-z0-9_.-]{0,62}$' });
}

function checkName(value: string): Problem | undefined {
  if (/^[A-Za-z][A-Za-z0-9_.-]{0,62}$/.test(value)) return undefined;
  return {
    code: 'BAD_NAME',
    message: `${JSON.stringify(value.slice(0, 80))} is not a name`,
    hint: 'a letter, then letters, digits, `-`, `_` or `.`, at most 63 in all',
  };
}

/** The name of a file; relative ones are relative to the configuration. */
export function fileName(): z.ZodString {
  return text((value) => {
    if (value.startsWith('-----BEGIN')) {
      return { code: 'BAD_FILE_NAME', message: 'this is the content of a PEM file', hint: 'name the file' };
    }
    if (value !== '' && !value.includes('\0') && Buffer.byteLength(value) < 4096) return undefined;
    return { code: 'BAD_FILE_NAME', message: 'not a file name: empty, too long, or with a NUL in it' };
  });
}

/** Text without control characters, of bounded length. */
export function plainText(maxLength: number): z.ZodString {
  return text((value) => {
    if (value.length > maxLength) {
      return { code: 'OUT_OF_RANGE', message: `the text is longer than ${maxLength} characters` };
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
    if (!/[\x00-\x1f\x7f]/.test(value)) return undefined;
    return { code: 'BAD_VALUE', message: 'the text has a control character in it' };
  });
}
