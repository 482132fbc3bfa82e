// Filters that do more harm than was probably meant, and keys that no request has.

import { toDuration } from '../../../lib/duration.js';
import { MIB, parseSize } from '../../../lib/size.js';
import type { Cursor } from '../../cursor.js';
import { DEFAULTS } from '../../defaults.js';
import { isMutual, kindOf } from '../rule.js';
import { backendWeight, type Coherence, headerOf, requestTimeoutOf } from './warn.js';

/** Warns about a rule's filters and keys. */
export function trafficWarnings(
  coherence: Coherence,
  { route, rule }: { route: Cursor; rule: Cursor },
): void {
  const keys = [rule.at('sticky')];
  for (const filter of rule.at('filters').items()) {
    mirrorWarnings(coherence, rule, filter.at('mirror'));
    faultWarnings(coherence, rule, filter.at('fault'));
    faultMatchWarnings(coherence, rule, filter.at('fault').at('headers'));
    tableWarnings(coherence, filter.at('rateLimit').at('keys'));
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
  const subset = mirror.at('subset').text;
  // Without a subset it is all of the service, whatever the other one says.
  const isSame = (backend: Cursor): boolean =>
    backendWeight(backend) > 0 &&
    backend.at('service').text === text &&
    new Set([subset, backend.at('subset').text, undefined]).size < 3;
  if (text === undefined || percent <= 0 || percent > 100 || !rule.at('backends').items().some(isSame))
    return;
  const message = `what answers requests gets copies of them, too: ${percent} % more load, and effects twice`;
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

/** A fault for a header value that no match of the rule lets through. */
function faultMatchWarnings({ warn }: Coherence, rule: Cursor, headers: Cursor): void {
  const matches = rule.at('matches').items();
  for (const [name, header] of headers.entries()) {
    const others = matches.map((match) => headerOf(match.at('headers'), name));
    const fits = others.some((other) => other === undefined || other === header.text);
    if (matches.length === 0 || fits) continue;
    const message = `requests of this rule have another \`${name}\`: ${others.slice(0, 8).join(', ')}`;
    warn(header, { code: 'NEVER_FITS', message, hint: 'the value of the match, or leave the header out' });
  }
}

/** Bytes of a rate limit's table for each of as many keys as it may have. */
const KEY_BYTES = 32;

function tableWarnings({ root, warn }: Coherence, keys: Cursor): void {
  const { text } = root.at('memory');
  const memory = text === undefined ? undefined : parseSize(text);
  const bytes = (keys.number ?? 0) * KEY_BYTES;
  if (memory === undefined || bytes <= memory) return;
  const most = Math.floor(memory / KEY_BYTES / 4);
  const message = `a table of so many keys takes ${Math.round(bytes / MIB)}MiB, and \`memory\` is ${text}: requests would get 503 before`;
  warn(keys, { message, hint: `keys: ${most} takes a quarter, or a larger \`memory\`` });
}
