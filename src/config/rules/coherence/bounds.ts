// Bounds of a service that others make pointless, and connections that are kept longer than servers keep them.

import { toDuration } from '../../../lib/duration.js';
import type { Cursor } from '../../cursor.js';
import { DEFAULTS } from '../../defaults.js';
import { adaptiveOf } from '../../effective.js';
import { isMutual } from '../rule.js';
import type { Coherence } from './warn.js';

/** The longest that a common server keeps an idle connection by default (nginx); Node and Apache keep it for 5 s. */
const LONGEST_SERVER_IDLE_MS = 75_000;

/** Warns about a service's limits and its pool. */
export function boundWarnings(coherence: Coherence, service: Cursor): void {
  limitWarnings(coherence, service.at('limits'));
  adaptiveWarnings(coherence, service.at('limits'));
  poolWarnings(coherence, service);
  idleWarnings(coherence, service);
  keyWarnings(coherence, service);
}

function limitWarnings({ warn }: Coherence, limits: Cursor): void {
  const connections = limits.at('connections').number ?? DEFAULTS.service.connections;
  const requests = limits.at('requests').number;
  const pairs: readonly (readonly [Cursor, number | undefined, string])[] = [
    [limits.at('endpoint').at('connections'), connections, 'connections'],
    [limits.at('retries'), requests, 'requests'],
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

function adaptiveWarnings({ warn }: Coherence, limits: Cursor): void {
  const adaptive = limits.at('adaptive');
  const requests = limits.at('requests').number;
  const written = { min: adaptive.at('min').number, max: adaptive.at('max').number };
  const { min, max } = adaptiveOf(written, requests);
  if (!adaptive.isMap || min !== max) return;
  const message = `the limit goes from ${min} to ${max}: it follows nothing`;
  const half = Math.floor(Math.min(max, requests ?? max) / 2);
  const lower = half === 0 ? '' : `min: ${half}, or `;
  const wider = (written.max ?? requests) === undefined ? `max: ${max * 2}, or ` : lower;
  warn(adaptive, { message, hint: `${wider}\`limits.requests: ${max}\` without \`adaptive\`` });
}

/** Connections that are not kept need no bounds on how many are kept, and for how long. */
function poolWarnings({ warn }: Coherence, service: Cursor): void {
  const pool = service.at('pool');
  const protocol = service.at('protocol').text ?? DEFAULTS.service.protocol;
  if (protocol === 'http2' || protocol === 'grpc') {
    for (const idle of pool.present(['idlePerEndpoint'])) {
      const message = `connections of \`protocol: ${protocol}\` carry many requests each: their number has no such bound`;
      warn(idle, { message, hint: 'leave it out; `idleTimeout` closes those without requests' });
    }
    return;
  }
  const isWorn = pool.at('requestsPerConnection').number === 1;
  if (!isWorn && pool.at('idlePerEndpoint').number !== 0) return;
  const why = isWorn ? '`requestsPerConnection` is 1' : '`idlePerEndpoint` is 0';
  for (const key of pool.present(isWorn ? ['idlePerEndpoint', 'idleTimeout'] : ['idleTimeout'])) {
    if (key.number === 0) continue;
    const message = `no connection is kept: ${why}`;
    warn(key, { message, hint: `leave it out, or ${isWorn ? 'more requests' : 'idle ones above 0'}` });
  }
}

function idleWarnings({ warn }: Coherence, service: Cursor): void {
  const pool = service.at('pool');
  const { ms } = pool.at('idleTimeout');
  if (pool.at('idlePerEndpoint').number === 0 || pool.at('requestsPerConnection').number === 1) return;
  const protocol = service.at('protocol').text ?? DEFAULTS.service.protocol;
  if (ms === undefined || ms <= LONGEST_SERVER_IDLE_MS || protocol !== 'http') return;
  const message = `idle connections are kept for ${toDuration(ms)}, and common servers close theirs after 5 to 75 s: requests would be lost`;
  const hint = `idleTimeout: ${DEFAULTS.service.idleTimeout}, or less than the server allows`;
  warn(pool.at('idleTimeout'), { message, hint });
}

function keyWarnings({ listeners, warn }: Coherence, service: Cursor): void {
  const balancing = service.at('loadBalancing');
  const cookie = balancing.at('key').at('cookie');
  if (cookie.text !== undefined && cookie.text === balancing.at('affinity').at('cookie').text) {
    const message = `the cookie \`${cookie.text}\` is the affinity cookie: it names an endpoint, and a new client has none`;
    warn(cookie, { message, hint: 'go by another key, or leave `affinity` out' });
  }
  const identity = balancing.at('key').at('identity');
  if (!identity.exists || [...listeners.values()].some(isMutual)) return;
  const message = 'no listener asks for certificates: no request has this key';
  warn(identity, {
    code: 'NEVER_FITS',
    message,
    hint: 'tls: { mode: mutual } for the listener, or another key',
  });
}
