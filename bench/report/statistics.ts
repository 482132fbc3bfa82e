// Medians and ratios of samples. Ratios are taken within a round, where both peers met the same mood of the machine, and
// only then is the median over the rounds taken.

/** One value of one round. */
export interface Point {
  readonly round: number;
  readonly value: number;
}

/** A median with the range it was taken from. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** How many values. */
  readonly count: number;
}

/** The middle value, or the mean of the two middle ones; undefined for none. */
export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  return upper === undefined || lower === undefined ? undefined : (upper + lower) / 2;
}

/** Median and range; undefined for no values. */
export function spread(values: readonly number[]): Spread | undefined {
  const middle = median(values);
  if (middle === undefined) return undefined;
  return { median: middle, low: Math.min(...values), high: Math.max(...values), count: values.length };
}

/** The ratios of the rounds that both series have. A divisor of 0 gives no ratio. */
export function ratios(over: readonly Point[], under: readonly Point[]): number[] {
  return over.flatMap((point) => {
    const other = under.find((candidate) => candidate.round === point.round);
    return other === undefined || other.value === 0 ? [] : [point.value / other.value];
  });
}

/** The differences of the rounds that both series have. */
export function differences(from: readonly Point[], minus: readonly Point[]): Point[] {
  return from.flatMap((point) => {
    const other = minus.find((candidate) => candidate.round === point.round);
    return other === undefined ? [] : [{ round: point.round, value: point.value - other.value }];
  });
}
