// What an endpoint can be made to do, and the calls and stages that callers make: the words that the two programs and the
// scenarios have in common.

/** How an endpoint behaves; `/healthz` is answered with 200 by all but `silent` and `down`. */
export type Behaviour =
  /** Answers after `lowMs` to `highMs`. */
  | { readonly kind: 'healthy' }
  /** Answers so much later. */
  | { readonly kind: 'slow'; readonly addedMs: number }
  /** Answers that share, 0 to 1, with 503, at once. */
  | { readonly kind: 'failing'; readonly share: number }
  /** Accepts connections and requests, and never answers; when it ends, it closes what was left without an answer. */
  | { readonly kind: 'silent' }
  /** Nothing listens, and every connection is closed. */
  | { readonly kind: 'down' };

/** A change of one endpoint. */
export interface Change {
  /** Milliseconds from the beginning of the run. */
  readonly at: number;
  readonly endpoint: number;
  readonly behaviour: Behaviour;
}

/** A stretch of a run at one rate. */
export interface Stage {
  readonly name: string;
  /** How long, in milliseconds. */
  readonly ms: number;
  /** Requests per second. */
  readonly rate: number;
}

/** A kind of request. */
export interface CallKind {
  readonly name: string;
  readonly path: string;
  /** Of all requests, 0 to 1; those of all kinds add up to 1. */
  readonly share: number;
}

/** Milliseconds since 1970 at which both programs begin a run: each has a clock of its own, this one they share. */
export type StartTime = number;
