// Compiles what shapes a rule's traffic: retries, rate limits, faults and mirrors.

import { backoffMaxOf } from '../../config/effective.js';
import type { CheckedRetry } from '../../config/schema/retry.js';
import type { CheckedFault, CheckedMirror, CheckedRateLimit } from '../../config/schema/traffic.js';
import type { Fault, Mirror, RateLimit, Retry } from '../snapshot.generated.js';
import { compileOptionalKey } from './key.js';
import type { Scope } from './scope.js';

/** Compiles `retry`. */
export function compileRetry({ attempts, on, backoff, budget, nonIdempotent, hedge }: CheckedRetry): Retry {
  return {
    attempts,
    on: [...new Set(on.filter((condition) => typeof condition !== 'number'))],
    statuses: [...new Set(on.filter((condition) => typeof condition === 'number'))],
    backoffBaseMs: backoff.base,
    backoffMaxMs: backoffMaxOf(backoff),
    budget: { percent: budget.percent, minPerSecond: budget.minPerSecond },
    nonIdempotent,
    hedge: hedge === undefined ? null : { percentile: hedge.percentile, maxPercent: hedge.maxPercent },
  };
}

/** Compiles a `rateLimit`. */
export function compileRateLimit({ requestsPerSecond, burst, key, keys }: CheckedRateLimit): RateLimit {
  return { requestsPerSecond, burst: burst ?? requestsPerSecond, key: compileOptionalKey(key), keys };
}

/** Compiles a `fault`. */
export function compileFault({ headers, delay, abort, bandwidth }: CheckedFault): Fault {
  return {
    headers: Object.entries(headers).map(([name, value]) => ({ name: name.toLowerCase(), value })),
    delay: delay === undefined ? null : { perMillion: delay.percent, durationMs: delay.duration },
    abort:
      abort === undefined
        ? null
        : { perMillion: abort.percent, status: abort.status, grpcStatus: abort.grpcStatus ?? null },
    bandwidth:
      bandwidth === undefined
        ? null
        : { perMillion: bandwidth.percent, bytesPerSecond: bandwidth.bytesPerSecond },
  };
}

/** Compiles a `mirror`. */
export function compileMirror({ service, subset, percent }: CheckedMirror, scope: Scope): Mirror {
  return {
    service: scope.service(service),
    subset: subset === undefined ? null : scope.subset(service, subset),
    perMillion: percent,
  };
}
