// How big a configuration may be. Beyond any of these it is refused, whoever wrote it.

/** Bounds on what is read, so that no input costs unbounded time or memory. */
export const BOUNDS = {
  /** Bytes of a file. */
  fileBytes: 16 * 1024 * 1024,
  /** Maps and lists inside each other. */
  depth: 32,
  /** Values in all, aliases counted as often as they are used. */
  values: 2_000_000,
  /** Uses of `*alias` in a file. */
  aliases: 1000,
} as const;

/** Keys that JavaScript objects treat specially. */
export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__']);
