// Bounds of a service that others make pointless, and connections that are kept longer than servers keep them.

import { toDuration } from '../../../lib/duration.js';
import type { Cursor } from '../../cursor.js';
import { DEFAULTS } from '../../defaults.js';
import { isMutual } from '../rule.js';
import type { Coherence } from './warn.js';

/** The longest that a common server keeps an idle connection by default (nginx); Node and Apache keep it for 5 s. */
const LONGEST_SERVER_IDLE_MS = 75_000;

/** Warns about a service's limits and its pool. */
export function boundWarnings(coherence: Coherence, service: Cursor): void {
  limitWarnings(coherence, service.at('limits'));
  idleWarnings(coherence, service);
  keyWarnings(coherence, service);
}

function limitWarnings({ warn }: Coherence, limits: Cursor): void {
  const connections = limits.at('connections').number ?? DEFAULTS.service.connections;
  const requests = limits.at('requests').number;
  const pairs: readonly (readonly [Cursor, number | undefined, string])[] = [
    [limits.at('endpoint').at('connections'), connections, 'connections'],
    [limits.at('endpoint').at('requests'), requests, 'requests'],
    [limits.at('adaptive').at('min'), requests, 'requests'],
    [limits.at('adaptive').at('max'), requests, 'requests'],
  ];
  for (const [cursor, bound, key] of pairs) {
    if (cursor.number === undefined || bound === undefined || cursor.number <= bound) continue;
    const message = `${cursor.number} is never reached: \`limits.${key}\` of the whole service is ${bound}`;
    warn(cursor, { message, hint: `at most ${bound} here, or a higher \`limits.${key}\`` });
  }
  if (limits.at('pending').number !== 0) return;
  for (const timeout of limits.present(['queueTimeout'])) {
    const message = 'no request waits for a connection: `pending` is 0';
    warn(timeout, { message, hint: 'a `pending` above 0, or leave `queueTimeout` out' });
  }
}

function idleWarnings({ warn }: Coherence, service: Cursor): void {
  const { ms } = service.at('pool').at('idleTimeout');
  const protocol = service.at('protocol').text ?? DEFAULTS.service.protocol;
  if (ms === undefined || ms <= LONGEST_SERVER_IDLE_MS || protocol !== 'http') return;
  const message = `idle connections are kept for ${toDuration(ms)}, and common servers close theirs after 5 to 75 s: requests would be lost`;
  const hint = `idleTimeout: ${DEFAULTS.service.idleTimeout}, or less than the server allows`;
  warn(service.at('pool').at('idleTimeout'), { message, hint });
}

function keyWarnings({ listeners, warn }: Coherence, service: Cursor): void {
  const identity = service.at('loadBalancing').at('key').at('identity');
  if (!identity.exists || [...listeners.values()].some(isMutual)) return;
  const message = 'no listener asks for certificates: no request has this key';
  warn(identity, {
    code: 'NEVER_FITS',
    message,
    hint: 'tls: { mode: mutual } for the listener, or another key',
  });
}
