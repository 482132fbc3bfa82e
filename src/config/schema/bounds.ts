// Bounds that several parts of the language share.

/** Milliseconds of an hour: the longest that anything is waited for. */
export const HOUR_MS = 3_600_000;
/** Milliseconds of a day. */
export const DAY_MS = 24 * HOUR_MS;
/** The most that a limit can be. */
export const LIMIT_MAX = 1 << 24;
