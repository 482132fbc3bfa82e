// Takes a JavaScript object as a configuration: copies it into plain values and refuses what YAML could not say.
// In: what a program passed to createProxy. Out: a Source without places. After: check.

import { BOUNDS, FORBIDDEN_KEYS } from './bounds.js';
import type { Diagnostic, KeyPath, Problem } from './diagnostic.js';
import { type Finding, type Source, toDiagnostic } from './source.js';

/** A copied object: `source` is null where a bound was passed. */
export interface ObjectResult {
  readonly source: Source | null;
  readonly diagnostics: readonly Diagnostic[];
}

/** Copies a value. File names in it are relative to `baseDir`. Never throws, whatever it is given. */
export function readObject(input: unknown, baseDir: string): ObjectResult {
  const origin = { file: null, baseDir, place: () => null, isPlain: () => false };
  const copier = new Copier();
  let value: unknown;
  try {
    value = copier.copy(input, []);
  } catch {
    copier.gaveUp = true;
    copier.findings.push({
      path: [],
      code: 'BAD_TYPE',
      message: 'reading the object failed: a getter or a proxy threw',
    });
  }
  return {
    source: copier.gaveUp ? null : { ...origin, value },
    diagnostics: copier.findings.map((finding) => toDiagnostic(origin, finding)),
  };
}

class Copier {
  readonly findings: Finding[] = [];
  gaveUp = false;
  #values = 0;

  copy(input: unknown, path: KeyPath): unknown {
    if (this.gaveUp) return null;
    this.#values += 1;
    if (this.#values > BOUNDS.values) return this.#giveUp(path, `more than ${BOUNDS.values} values`);
    if (path.length > BOUNDS.depth) {
      return this.#giveUp(path.slice(0, 8), `objects and arrays are nested deeper than ${BOUNDS.depth}`);
    }
    if (Array.isArray(input)) {
      if (input.length > BOUNDS.values) return this.#giveUp(path, `more than ${BOUNDS.values} values`);
      return Array.from(input, (item: unknown, index) => this.copy(item, [...path, index]));
    }
    if (typeof input === 'object' && input !== null) return this.#object(input, path);
    if (typeof input === 'function' || typeof input === 'symbol' || typeof input === 'bigint') {
      return this.#refuse(path, {
        code: 'BAD_TYPE',
        message: `a ${typeof input} has no meaning in a configuration`,
      });
    }
    return input;
  }

  #object(input: object, path: KeyPath): unknown {
    const prototype: unknown = Object.getPrototypeOf(input);
    // Objects of another realm have an Object.prototype of their own, whose prototype is null.
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
      return this.#refuse(path, {
        code: 'BAD_TYPE',
        message: 'an instance of a class has no meaning in a configuration',
        hint: 'pass a plain object',
      });
    }
    const map: Record<string, unknown> = Object.create(null);
    for (const [key, value] of Object.entries(input)) {
      if (value === undefined) continue;
      if (FORBIDDEN_KEYS.has(key)) {
        this.#refuse([...path, key], { code: 'BAD_NAME', message: `\`${key}\` cannot be a key` });
        continue;
      }
      map[key] = this.copy(value, [...path, key]);
    }
    return map;
  }

  #refuse(path: KeyPath, problem: Problem): null {
    this.findings.push({ ...problem, path });
    return null;
  }

  #giveUp(path: KeyPath, message: string): null {
    this.gaveUp = true;
    return this.#refuse(path, { code: 'TOO_LARGE', message });
  }
}
