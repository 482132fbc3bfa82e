// Attempts that do not fit into their request's time, and retries that are asked for and ruled out.

import { toDuration } from '../../../lib/duration.js';
import type { Cursor } from '../../cursor.js';
import { DEFAULTS } from '../../defaults.js';
import { backoffMaxOf, toMs } from '../../effective.js';
import { attemptsOf, type Coherence, requestTimeoutOf, serviceOf } from './warn.js';

/** Warns about a rule's timeouts and retries. */
export function attemptWarnings(coherence: Coherence, rule: Cursor): void {
  if (attemptsOf(rule) === 0) withoutRetries(coherence, rule);
  else withRetries(coherence, rule);
  perTryWarnings(coherence, rule);
  hedgeWarnings(coherence, rule);
}

function withoutRetries({ warn }: Coherence, rule: Cursor): void {
  const keys = ['on', 'backoff', 'budget'].concat(
    rule.at('retry').at('nonIdempotent').value === true ? ['nonIdempotent'] : [],
  );
  for (const key of rule.at('retry').present(keys)) {
    const message = `\`attempts\` is 0: without retries, \`${key.path.at(-1)}\` is without effect`;
    warn(key, { message, hint: 'attempts: 1 or more, or leave it out' });
  }
}

function withRetries(coherence: Coherence, rule: Cursor): void {
  const { warn } = coherence;
  const retry = rule.at('retry');
  const on = retry.at('on');
  if (Array.isArray(on.value) && on.value.length === 0) {
    const message = 'no failure is named: nothing is retried';
    warn(on, { message, hint: 'on: [connect-failure, reset], or attempts: 0' });
  }
  const budget = retry.at('budget');
  if (budget.at('percent').number === 0 && budget.at('minPerSecond').number === 0) {
    const message = 'the budget allows no retry at all';
    warn(budget, { message, hint: 'attempts: 0 says so, or a budget above 0' });
  }
  firstWaitWarnings(coherence, rule);
  if (!retry.at('attempts').exists || !isLimitedToNone(coherence, rule)) return;
  const message = 'the services that this leads to have `limits.retries: 0`: none is made';
  warn(retry.at('attempts'), { message, hint: 'attempts: 0, or a higher limit' });
}

/** A retry is made only if its wait, which is drawn up to the longest, ends before the request does. */
function firstWaitWarnings({ warn }: Coherence, rule: Cursor): void {
  const base = rule.at('retry').at('backoff').at('base');
  const request = requestTimeoutOf(rule);
  if (base.ms === undefined || request === undefined || base.ms <= request) return;
  const message = `the first wait is up to ${toDuration(base.ms)}, and the request ends after ${toDuration(request)}: where more is drawn, there is no retry`;
  warn(base, { message, hint: 'a shorter `base`, or a longer `timeouts.request`' });
}

/** Whether no service that a rule leads to takes a retry. */
function isLimitedToNone(coherence: Coherence, rule: Cursor): boolean {
  const backends = rule.at('backends').items();
  return backends.length > 0 && backends.every((backend) => serviceOf(coherence, backend)?.retries === 0);
}

function perTryWarnings({ warn }: Coherence, rule: Cursor): void {
  const perTry = rule.at('timeouts').at('perTry');
  const conditions = rule.at('retry').at('on').items();
  const condition = conditions.find(({ text }) => text === 'per-try-timeout');
  if (!perTry.exists) {
    if (condition === undefined || attemptsOf(rule) === 0) return;
    const message = 'an attempt has no time of its own that could be up';
    warn(condition, { message, hint: 'timeouts: { perTry: … }, or leave the condition out' });
    return;
  }
  const { ms } = perTry;
  const request = requestTimeoutOf(rule);
  if (ms === undefined) return;
  if (request !== undefined && ms >= request) {
    const message = `an attempt may take ${toDuration(ms)}, and the request as a whole ends after ${toDuration(request)}`;
    warn(perTry, { message, hint: 'a `perTry` below `timeouts.request`, or leave it out' });
  } else if (attemptsOf(rule) === 0) {
    const message = 'there is one attempt only: its time is that of the request';
    warn(perTry, { message, hint: 'timeouts.request says the same; or retry.attempts above 0' });
  } else if (condition === undefined) {
    const message =
      'an attempt that takes longer is cut, and `retry.on` does not name that: the request fails';
    warn(perTry, { message, hint: 'add per-try-timeout to `retry.on`' });
  } else {
    sumWarnings({ warn }, rule, { ms, request });
  }
}

/** All attempts, with the longest waits between them, should fit into the request's time. */
function sumWarnings(
  { warn }: Pick<Coherence, 'warn'>,
  rule: Cursor,
  { ms, request }: { ms: number; request: number | undefined },
): void {
  const attempts = attemptsOf(rule);
  const backoff = rule.at('retry').at('backoff');
  const base = backoff.at('base').ms ?? toMs(DEFAULTS.route.backoffBase);
  const max = backoffMaxOf({ base, max: backoff.at('max').ms });
  const total = (retries: number): number => {
    const waits = Array.from({ length: retries }, (_, index) => Math.min(base * 2 ** index, max));
    return waits.reduce((sum, wait) => sum + wait, ms * (retries + 1));
  };
  if (request === undefined || attempts > 10 || total(attempts) <= request) return;
  const fitting = Array.from({ length: attempts }, (_, retries) => retries).findLast(
    (retries) => total(retries) <= request,
  );
  const message = `${attempts + 1} attempts of ${toDuration(ms)} and the waits between them take up to ${toDuration(total(attempts))}, and the request ends after ${toDuration(request)}`;
  const fewer = fitting === undefined || fitting === 0 ? '' : `attempts: ${fitting}, or `;
  const hint = `${fewer}timeouts.request: ${toDuration(total(attempts))}, or a shorter perTry`;
  warn(rule.at('timeouts').at('perTry'), { message, hint });
}

function hedgeWarnings(coherence: Coherence, rule: Cursor): void {
  const hedge = rule.at('retry').at('hedge');
  if (!hedge.exists) return;
  const refused = notHedged(coherence, rule);
  if (refused !== undefined) {
    const message = `only idempotent requests are hedged, and ${refused}: none is`;
    coherence.warn(hedge, { message, hint: 'leave `hedge` out' });
    return;
  }
  const counts = rule
    .at('backends')
    .items()
    .map((backend) => serviceOf(coherence, backend)?.fixedEndpoints);
  if (counts.length > 0 && counts.every((count) => count === 1)) {
    const message = 'a hedge goes to a second endpoint, and there is only one';
    coherence.warn(hedge, { message, hint: 'add an endpoint, or leave `hedge` out' });
  } else if (isLimitedToNone(coherence, rule)) {
    const message = 'a hedge counts as a retry, and the services that this leads to have `limits.retries: 0`';
    coherence.warn(hedge, { message, hint: 'a higher limit, or leave `hedge` out' });
  }
}

/** Methods whose requests may be made twice at the same time (RFC 9110 section 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** Why no request of a rule is idempotent by its method, or undefined where one may be. */
function notHedged({ services }: Coherence, rule: Cursor): string | undefined {
  const methods = rule
    .at('matches')
    .items()
    .map((match) => match.at('method').text);
  if (methods.length > 0 && methods.every((method) => method !== undefined && !IDEMPOTENT.has(method)))
    return `this rule takes ${[...new Set(methods)].slice(0, 8).join(', ')}`;
  const protocols = rule
    .at('backends')
    .items()
    .map((backend) => services.get(backend.at('service').text ?? '')?.at('protocol').text);
  const isGrpc = protocols.length > 0 && protocols.every((protocol) => protocol === 'grpc');
  return isGrpc ? 'gRPC calls are POST' : undefined;
}
