// Says zod's issues in our own words: a code, what is wrong, what to do.
// In: the issues of one parse and the value that was parsed. Out: findings with their paths.

import type { z } from 'zod';
import { type KeyPath, type Problem, toPathText } from './diagnostic.js';
import { type JsonSchema, schemasAt } from './json-schema.js';
import type { Finding } from './source.js';
import { suggest } from './suggest.js';

type Issue = z.core.$ZodIssue;

/** One finding for each thing that is wrong. */
export function toFindings(issues: readonly Issue[], root: unknown): Finding[] {
  return withoutEchoes(issues.flatMap((issue) => translate(issue, { root, base: [] })));
}

/** A number far out of range fails two checks: that it is a safe integer, and then its own bound, which is kept. */
function withoutEchoes(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ code, path }, index) => {
    const next = findings[index + 1];
    return code !== 'OUT_OF_RANGE' || next?.code !== code || toPathText(next.path) !== toPathText(path);
  });
}

/** `a`, `a or b`, `a, b or c`. */
function toChoice(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

interface Context {
  readonly root: unknown;
  /** Where the schema that made the issue begins: issues inside a choice have paths of their own. */
  readonly base: KeyPath;
}

function translate(issue: Issue, context: Context): Finding[] {
  const path: KeyPath = [...context.base, ...(issue.path as (string | number)[])];
  const found = valueAt(context.root, path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(key, path));
    case 'invalid_union':
      return choose(issue.errors, { ...context, base: path }, found);
    case 'invalid_key':
      return issue.issues.map((inner) => ({ ...problemOf(inner), path, target: 'key' }));
    case 'invalid_type':
      return [found === undefined ? missing(path) : { ...wrongType(found, path), path }];
    case 'invalid_value':
      return [found === undefined ? missing(path) : { ...wrongValue(issue.values, found), path }];
    case 'too_small':
    case 'too_big':
      return [{ ...outOfRange(issue), path }];
    default:
      return [{ ...problemOf(issue), path }];
  }
}

function unknownKey(key: string, path: KeyPath): Finding {
  const known = schemasAt(path).flatMap(({ properties }) => Object.keys(properties ?? {}));
  const hint = suggest(key, known);
  const where = path.length === 0 ? 'at the top' : `in \`${nameOf(path)}\``;
  return {
    code: 'UNKNOWN_KEY',
    message: `there is no key \`${key.slice(0, 80)}\` ${where}`,
    ...(hint === undefined ? {} : { hint }),
    path: [...path, key],
    target: 'key',
  };
}

/** The last key on a path that has a name. */
function nameOf(path: KeyPath): string {
  return String(path.findLast((key) => typeof key === 'string') ?? '');
}

function missing(path: KeyPath): Finding {
  const what = path.length === 0 ? 'a configuration' : `\`${path.at(-1)}\``;
  return { code: 'MISSING_KEY', message: `${what} is needed here`, path, target: 'key' };
}

/** Of the parts of a choice, the problems of the one that was meant: whose outer type fits the value. */
function choose(errors: readonly (readonly Issue[])[], context: Context, found: unknown): Finding[] {
  // A word from a list is meant only where there is a word.
  const isOfAnotherType = ({ code, path }: Issue): boolean =>
    path.length === 0 && (code === 'invalid_type' || (code === 'invalid_value' && typeof found !== 'string'));
  const meant = errors.find((issues) => !issues.some(isOfAnotherType));
  if (meant !== undefined) return meant.flatMap((issue) => translate(issue, context));
  return [{ ...wrongType(found, context.base), path: context.base }];
}

function wrongType(found: unknown, path: KeyPath): Problem {
  const schemas = schemasAt(path);
  const expected = [...new Set(schemas.map(toWords))].join(' or ') || 'something else';
  const hint = typeHint(
    found,
    schemas.flatMap(({ examples }) => examples ?? []),
    expected,
  );
  const message = `expected ${expected}, found ${describe(found)}`;
  return { code: 'BAD_TYPE', message, ...(hint === undefined ? {} : { hint }) };
}

function typeHint(found: unknown, examples: readonly unknown[], expected: string): string | undefined {
  if (examples.length > 0) return `such as ${examples.slice(0, 3).join(', ')}`;
  if (expected === 'text' && (typeof found === 'number' || typeof found === 'boolean')) {
    return `put quotes around it: "${found}"`;
  }
  if (expected === 'true or false' && typeof found === 'string')
    return 'written without quotes; `yes` and `on` are text';
  if (expected === 'a whole number' && typeof found === 'string') return 'written without quotes and units';
  return undefined;
}

function toWords({ type, const: word, enum: values }: JsonSchema): string {
  if (word !== undefined) return String(word);
  switch (type) {
    case 'string':
      return values === undefined ? 'text' : toChoice(values.map(String));
    case 'integer':
      return 'a whole number';
    case 'number':
      return 'a number';
    case 'boolean':
      return 'true or false';
    case 'array':
      return 'a list';
    case 'object':
      return 'a map';
    default:
      return values === undefined ? 'something else' : toChoice(values.map(String));
  }
}

/** What was found, without its text: a value may be a secret. */
function describe(found: unknown): string {
  if (found === null) return 'nothing';
  if (Array.isArray(found)) return 'a list';
  if (typeof found === 'object') return 'a map';
  if (typeof found === 'string') return 'text';
  return typeof found === 'number' ? `the number ${found}` : String(found);
}

function wrongValue(values: readonly unknown[], found: unknown): Problem {
  const known = [...new Set(values.map(String))];
  const message = `expected ${toChoice(known)}`;
  if (typeof found !== 'string')
    return { code: 'BAD_VALUE', message: `${message}; found ${describe(found)}` };
  const hint = suggest(found.slice(0, 80), known);
  return {
    code: 'BAD_VALUE',
    message: `${message}; found ${JSON.stringify(found.slice(0, 80))}`,
    ...(hint?.startsWith('did') ? { hint } : {}),
  };
}

function outOfRange(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): Problem {
  const bound = issue.code === 'too_small' ? issue.minimum : issue.maximum;
  const side = issue.code === 'too_small' ? 'at least' : 'at most';
  if (issue.origin === 'array') {
    return {
      code: 'OUT_OF_RANGE',
      message: `the list must have ${side} ${bound} ${bound === 1 ? 'entry' : 'entries'}`,
    };
  }
  return { code: 'OUT_OF_RANGE', message: `the number must be ${side} ${bound}` };
}

/** The problem that a check of ours put into an issue. */
function problemOf(issue: Issue): Problem {
  const carried = (issue.code === 'custom' ? issue.params : undefined) as { problem?: Problem } | undefined;
  return carried?.problem ?? { code: 'BAD_VALUE', message: issue.message };
}

function valueAt(root: unknown, path: KeyPath): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}
