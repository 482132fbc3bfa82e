// Filters that do more harm than was probably meant, and keys that no request has.

import { toDuration } from '../../../lib/duration.js';
import type { Cursor } from '../../cursor.js';
import { DEFAULTS } from '../../defaults.js';
import { isMutual, kindOf } from '../rule.js';
import { backendWeight, type Coherence, requestTimeoutOf } from './warn.js';

/** Warns about a rule's filters and keys. */
export function trafficWarnings(
  coherence: Coherence,
  { route, rule }: { route: Cursor; rule: Cursor },
): void {
  const keys = [rule.at('sticky')];
  for (const filter of rule.at('filters').items()) {
    mirrorWarnings(coherence, rule, filter.at('mirror'));
    faultWarnings(coherence, rule, filter.at('fault'));
    keys.push(filter.at('rateLimit').at('key'));
  }
  const identities = keys.flatMap((key) => key.present(['identity']));
  if (identities.length === 0 || hasCallers(coherence, route)) return;
  for (const identity of identities) {
    const message = 'callers of this route show no certificate: no request has this key';
    const hint = 'tls: { mode: mutual } for the listener, or another key';
    coherence.warn(identity, { code: 'NEVER_FITS', message, hint });
  }
}

/** Whether some listener of a route asks for certificates. */
function hasCallers({ listeners }: Coherence, route: Cursor): boolean {
  const names = route.at('listeners');
  const applies = names.exists
    ? names.items().map(({ text }) => (text === undefined ? undefined : listeners.get(text)))
    : [...listeners.values()].filter((listener) => kindOf(listener) === 'http');
  return applies.some((listener) => listener !== undefined && isMutual(listener));
}

function mirrorWarnings({ warn }: Coherence, rule: Cursor, mirror: Cursor): void {
  const { text } = mirror.at('service');
  const percent = mirror.at('percent').number ?? DEFAULTS.route.percent;
  const isSame = (backend: Cursor): boolean =>
    backendWeight(backend) > 0 &&
    backend.at('service').text === text &&
    backend.at('subset').text === mirror.at('subset').text;
  if (text === undefined || percent === 0 || !rule.at('backends').items().some(isSame)) return;
  const message = `what answers the request gets its copy, too: ${percent} % more load, and effects twice`;
  warn(mirror.at('service'), { message, hint: 'mirror to a service or subset that answers nothing here' });
}

function faultWarnings({ warn }: Coherence, rule: Cursor, fault: Cursor): void {
  const abort = fault.at('abort');
  const percent = abort.at('percent').number ?? DEFAULTS.route.percent;
  if (abort.isMap && percent === 100 && fault.at('headers').entries().length === 0) {
    const message = `every request of this rule gets ${abort.at('status').number ?? 'an error'}: none is sent on`;
    warn(abort, { message, hint: 'a lower `percent`, or `headers` that say which requests are meant' });
  }
  const delay = fault.at('delay');
  const { ms } = delay.at('duration');
  const request = requestTimeoutOf(rule);
  const isOff = delay.at('percent').number === 0;
  if (ms === undefined || request === undefined || ms < request || isOff) return;
  const message = `a delay of ${toDuration(ms)} uses up the time of the request, ${toDuration(request)}: it ends with 504`;
  warn(delay.at('duration'), { message, hint: 'a shorter delay, or a longer `timeouts.request`' });
}
