// A configuration as it was read: plain values, and where each of them stands.
// In: the YAML or object reader. Out: what check walks and what turns problems into diagnostics with a place.

import type { Diagnostic, KeyPath, Problem, Severity } from './diagnostic.js';
import { toPathText } from './diagnostic.js';

/** Whether a problem is about a key or about the value behind it. */
export type Target = 'key' | 'value';

/** A place in a text, both counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** One configuration before it is checked. */
export interface Source {
  /** As named by the caller, or null for an object. */
  readonly file: string | null;
  /** Absolute folder that file names in the configuration are relative to. */
  readonly baseDir: string;
  /** Maps (without a prototype), lists, strings, numbers, booleans and null; bounded in size and depth. */
  readonly value: unknown;
  /** Where the key or value at a path stands; the nearest parent's place where it is missing; null without text. */
  readonly place: (path: KeyPath, target: Target) => Place | null;
  /** Whether the text at a path is written without quotes. False for an object. */
  readonly isPlain: (path: KeyPath) => boolean;
}

/** What a finding adds to a problem: where it is. */
export interface Finding extends Problem {
  readonly path: KeyPath;
  /** Default `value`. */
  readonly target?: Target;
  /** Default `error`. */
  readonly severity?: Severity;
}

/** Characters of a message. */
const MAX_MESSAGE = 400;

/** A finding with its place looked up. */
export function toDiagnostic(source: Pick<Source, 'file' | 'place'>, finding: Finding): Diagnostic {
  const place = source.place(finding.path, finding.target ?? 'value');
  return {
    file: source.file,
    line: place?.line ?? null,
    column: place?.column ?? null,
    path: toOneLine(toPathText(finding.path)),
    code: finding.code,
    message: toOneLine(finding.message),
    hint: finding.hint === undefined ? null : toOneLine(finding.hint),
    severity: finding.severity ?? 'error',
  };
}

/** Messages cite what was written: control characters are shown as escapes, and long texts end early. */
function toOneLine(text: string): string {
  const short = text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}…` : text;
  return short.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (found) => `\\u{${found.codePointAt(0)?.toString(16)}}`,
  );
}
