// A read-only walk over values that may be anything: the rules after the schema look at the whole configuration even
// where the schema found something wrong, so that one mistake never hides another.
// In: a Source's value. Out: places that know their path; what has another type is simply not there.

import { parseDuration } from '../lib/duration.js';
import type { KeyPath } from './diagnostic.js';

/** A value and its path. Asking for what is not there gives a cursor on undefined. */
export class Cursor {
  readonly value: unknown;
  readonly path: KeyPath;

  constructor(value: unknown, path: KeyPath = []) {
    this.value = value;
    this.path = path;
  }

  /** The value behind a key of a map. */
  at(key: string): Cursor {
    return new Cursor(this.#map()?.[key], [...this.path, key]);
  }

  /** True unless nothing is written here. */
  get exists(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  /** True where the value is a map. */
  get isMap(): boolean {
    return this.#map() !== undefined;
  }

  /** The value, where it is text. */
  get text(): string | undefined {
    return typeof this.value === 'string' ? this.value : undefined;
  }

  /** The value, where it is a number. */
  get number(): number | undefined {
    return typeof this.value === 'number' && !Number.isNaN(this.value) ? this.value : undefined;
  }

  /** Milliseconds, where the value is a duration. */
  get ms(): number | undefined {
    return this.text === undefined ? undefined : parseDuration(this.text);
  }

  /** The elements of a list; of anything else, none. */
  items(): Cursor[] {
    return Array.isArray(this.value)
      ? this.value.map((item: unknown, index) => new Cursor(item, [...this.path, index]))
      : [];
  }

  /** The keys of a map; of anything else, none. */
  keys(): string[] {
    return Object.keys(this.#map() ?? {});
  }

  /** What stands behind a key of a map, without its path: for comparing many. */
  valueAt(key: string): unknown {
    return this.#map()?.[key];
  }

  /** The entries of a map; of anything else, none. */
  entries(): [string, Cursor][] {
    return this.keys().map((key) => [key, this.at(key)]);
  }

  /** Those of the given keys behind which something is written. */
  present(keys: readonly string[]): Cursor[] {
    return keys.map((key) => this.at(key)).filter(({ exists }) => exists);
  }

  #map(): Record<string, unknown> | undefined {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) return undefined;
    // Sources hold maps without a prototype, so that every key read from one was written in it.
    return this.value as Record<string, unknown>;
  }
}
