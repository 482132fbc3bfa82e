// Compiles what requests are told apart by.

import type { CheckedRequestKey } from '../../config/schema/key.js';
import type { RequestKey } from '../snapshot.generated.js';

/** Compiles a key; check made sure that exactly one kind is written. */
export function compileKey({ header, cookie, source, path }: CheckedRequestKey): RequestKey {
  if (header !== undefined) return { kind: 'header', name: header.toLowerCase() };
  if (cookie !== undefined) return { kind: 'cookie', name: cookie };
  if (source !== undefined) return { kind: 'source' };
  return path === undefined ? { kind: 'identity' } : { kind: 'path' };
}

/** The same of a key that need not be there. */
export function compileOptionalKey(key: CheckedRequestKey | undefined): RequestKey | null {
  return key === undefined ? null : compileKey(key);
}
