// When a faulty endpoint lost its traffic, and when it had it back. In: what each endpoint received, in slices of time;
// out: times. Pure.

/** Requests that endpoints received, by endpoint and slice. */
export interface Arrivals {
  /** The length of a slice, in milliseconds; the first begins at 0. */
  readonly sliceMs: number;
  /** For each endpoint, its requests in each slice; a slice behind the end counts 0. */
  readonly counts: readonly (readonly number[])[];
}

/** From when to when something holds, in milliseconds of the run; the end is excluded. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Requests of each endpoint in each whole second, the last of which may be shorter. */
export function perSecond({ sliceMs, counts }: Arrivals): number[][] {
  const slices = Math.max(1, Math.round(1000 / sliceMs));
  return counts.map((one) =>
    Array.from({ length: Math.ceil(one.length / slices) }, (_, second) =>
      one.slice(second * slices, (second + 1) * slices).reduce((total, count) => total + count, 0),
    ),
  );
}

/** Below this part of its fair share an endpoint counts as out. */
export const OUT = 0.1;
/** From this part of its fair share on it counts as back. */
export const BACK = 0.5;
/** The share is that of this long, in milliseconds: long enough for some fifty requests to each endpoint. */
export const WINDOW_MS = 500;

/** An endpoint's requests as a part of its fair share (all requests evenly divided); undefined where there were none. */
export function shareOf(arrivals: Arrivals, endpoint: number, span: Span): number | undefined {
  const { sliceMs, counts } = arrivals;
  const [first, end] = [Math.floor(span.from / sliceMs), Math.ceil(span.to / sliceMs)];
  const each = counts.map((one) => one.slice(first, end).reduce((total, count) => total + count, 0));
  const all = each.reduce((total, count) => total + count, 0);
  return all === 0 ? undefined : ((each[endpoint] ?? 0) * counts.length) / all;
}

/**
 * Milliseconds from the beginning of a span, which is when the fault began, until the first window within the span in
 * which the endpoint got less than a tenth of its fair share; undefined: it never did.
 */
export function timeToEject(arrivals: Arrivals, endpoint: number, span: Span): number | undefined {
  return firstWindow(arrivals, span, (window) => {
    const share = shareOf(arrivals, endpoint, window);
    return share !== undefined && share < OUT;
  });
}

/**
 * Milliseconds from the beginning of a span, which is when the fault ended, until the first window within the span in
 * which the endpoint got at least half of its fair share; undefined: it never did.
 */
export function timeToReadmit(arrivals: Arrivals, endpoint: number, span: Span): number | undefined {
  return firstWindow(arrivals, span, (window) => (shareOf(arrivals, endpoint, window) ?? 0) >= BACK);
}

function firstWindow(arrivals: Arrivals, span: Span, fits: (window: Span) => boolean): number | undefined {
  for (let from = span.from; from + WINDOW_MS <= span.to; from += arrivals.sliceMs) {
    if (fits({ from, to: from + WINDOW_MS })) return from - span.from;
  }
  return undefined;
}
