// Durations as people write them (`500ms`, `2s`, `5m`, `24h`) to whole milliseconds, and back.

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** The longest duration that is accepted: 30 days. It fits 32 bits of milliseconds. */
export const MAX_DURATION_MS = 30 * 24 * UNITS.h;

/** Milliseconds of a duration such as `500ms`, or undefined where it is none or longer than the bound. */
export function parseDuration(text: string): number | undefined {
  const found = /^(\d{1,10})(ms|s|m|h)$/.exec(text);
  if (found === null) return undefined;
  const ms = Number(found[1]) * UNITS[found[2] as keyof typeof UNITS];
  return ms <= MAX_DURATION_MS ? ms : undefined;
}

/** The shortest way to write a whole number of milliseconds, such as `5m` for 300000. */
export function toDuration(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    if (ms !== 0 && ms % UNITS[unit] === 0) return `${ms / UNITS[unit]}${unit}`;
  }
  return `${ms}ms`;
}
