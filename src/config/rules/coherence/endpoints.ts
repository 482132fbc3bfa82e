// Endpoints that nothing reaches, and watching that cannot lead to anything.

import { toDuration } from '../../../lib/duration.js';
import type { Cursor } from '../../cursor.js';
import { DEFAULTS } from '../../defaults.js';
import { toPathText } from '../../diagnostic.js';
import { healthTimesOf, toMs } from '../../effective.js';
import { isHashPolicy, weightOf } from '../balancing.js';
import { hasLabels } from '../rule.js';
import { type Coherence, targetOf } from './warn.js';

/** Requests to one endpoint in a millisecond that no process makes: a million in a second. */
const MOST_PER_MS = 1000;

/** Warns about a service's endpoints and how they are watched. */
export function endpointWarnings(coherence: Coherence, service: Cursor): void {
  duplicateWarnings(coherence, service);
  drainingWarnings(coherence, service);
  zoneWarnings(coherence, service);
  healthWarnings(coherence, service.at('healthCheck'));
  ejectionWarnings(coherence, service);
}

/** Warns about an address that is there again, unless a subset tells the two apart. */
function duplicateWarnings({ source, warn }: Coherence, service: Cursor): void {
  const byLabel = service.at('loadBalancing').at('weights').items();
  for (const [first, ...others] of sameEndpoints(service)) {
    if (first === undefined || others.length === 0) continue;
    const weights = [first, ...others].map((endpoint) => weightOf(endpoint, byLabel));
    if (weights.includes(0)) continue;
    const times = others.length === 1 ? 'twice' : `${weights.length} times`;
    const share =
      new Set(weights).size === 1 ? `gets ${times} the share` : `has the weight ${sumOf(weights)} in all`;
    const place = source.place(first.path, 'value');
    const where = place === null ? '' : ` (${place.line}:${place.column})`;
    const message = `the same as \`${toPathText(first.path)}\`${where}: this endpoint ${share}`;
    const written = [first, ...others].map((endpoint) => endpoint.at('weight').number ?? DEFAULTS.weight);
    const hint = `leave it out; \`weight: ${sumOf(written)}\` there says the same`;
    for (const other of others) warn(other, { message, hint });
  }
}

/** Endpoints by their address, and by the subsets that they are in. */
function sameEndpoints(service: Cursor): Iterable<readonly Cursor[]> {
  const subsets = service.at('subsets').entries();
  const groups = new Map<string, Cursor[]>();
  for (const endpoint of service.at('endpoints').items()) {
    const target = targetOf(endpoint);
    if (target === undefined) continue;
    const key = JSON.stringify([target, ...subsets.map(([, subset]) => hasLabels(endpoint, subset))]);
    const group = groups.get(key) ?? [];
    group.push(endpoint);
    groups.set(key, group);
  }
  return groups.values();
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

function drainingWarnings({ facts, warn }: Coherence, service: Cursor): void {
  if (facts(String(service.path.at(-1)))?.isDraining !== true) return;
  const message = 'the weight of every endpoint is 0: only clients with an affinity cookie get an answer';
  warn(service.at('endpoints'), { message, hint: 'give one of them a weight above 0' });
}

function zoneWarnings({ root, warn }: Coherence, service: Cursor): void {
  const preferZone = service.at('loadBalancing').at('preferZone');
  const zone = root.at('zone').text;
  const endpoints = service.at('endpoints').items();
  if (preferZone.value !== true || zone === undefined || endpoints.length === 0) return;
  const policy = service.at('loadBalancing').at('policy').text;
  if (isHashPolicy(policy)) {
    const message = `with \`${policy}\` a key belongs to one endpoint, whatever its zone: only requests without the key go by zone`;
    warn(preferZone, { message, hint: 'leave `preferZone` out, or take a `policy` without a key' });
    return;
  }
  const byLabel = service.at('loadBalancing').at('weights').items();
  const serving = endpoints.filter((endpoint) => weightOf(endpoint, byLabel) > 0);
  const zones = new Set(serving.map((endpoint) => endpoint.at('zone').text));
  zones.delete(undefined);
  if (zones.has(zone) || serving.length === 0) return;
  const which = serving.length === endpoints.length ? 'no endpoint' : 'no endpoint with a weight';
  const message =
    zones.size === 0
      ? `${which} says its zone: there is none to prefer`
      : `${which} is in this proxy's zone \`${zone}\`, but in ${[...zones].slice(0, 8).join(', ')}`;
  warn(preferZone, {
    message,
    hint: `zone: ${zone} beside the address of an endpoint, or leave \`preferZone\` out`,
  });
}

function healthWarnings({ warn }: Coherence, check: Cursor): void {
  const { interval, timeout } = healthTimesOf({
    interval: check.at('interval').ms,
    timeout: check.at('timeout').ms,
  });
  if (timeout <= interval) return;
  const message = `an answer may take ${toDuration(timeout)}, and the next question is due after ${toDuration(interval)}`;
  warn(check.at('timeout'), { message, hint: `timeout: ${toDuration(interval)} or less` });
}

function ejectionWarnings(coherence: Coherence, service: Cursor): void {
  const { warn } = coherence;
  const outlier = service.at('outlierDetection');
  if (!outlier.isMap) return;
  if (outlier.at('consecutiveErrors').number === 0 && outlier.at('successRate').text === 'off') {
    const message = 'neither errors in a row nor the success rate count: no endpoint is ever ejected';
    warn(outlier, { message, hint: 'consecutiveErrors: 5, or leave `outlierDetection` out' });
    return;
  }
  rateWarnings(coherence, outlier.at('successRate'));
  const { maxEjectedPercent } = DEFAULTS.service.outlierDetection;
  const percent = outlier.at('maxEjectedPercent').number ?? maxEjectedPercent;
  const count = coherence.facts(String(service.path.at(-1)))?.fixedEndpoints;
  if (percent === 0) {
    const message = 'the share of endpoints that may be ejected is 0: none ever is';
    const hint = `maxEjectedPercent: ${maxEjectedPercent}, or leave \`outlierDetection\` out`;
    warn(outlier.at('maxEjectedPercent'), { message, hint });
  } else if (count === 1) {
    const message = 'there is one endpoint only: it is used even while it is ejected';
    warn(outlier, { message, hint: 'add a second endpoint, or leave `outlierDetection` out' });
  } else if (count !== undefined && count * percent < 100) {
    const message = `${percent} % of ${count} endpoints is less than one: none is ever ejected`;
    warn(outlier, { message, hint: `maxEjectedPercent: ${Math.ceil(100 / count)}` });
  }
}

/** A success rate counts once there were enough requests, which has to be possible. */
function rateWarnings({ warn }: Coherence, rate: Cursor): void {
  const { successWindow, successMinRequests } = DEFAULTS.service.outlierDetection;
  const window = rate.at('window').ms ?? toMs(successWindow);
  const least = rate.at('minRequests').number ?? successMinRequests;
  const most = window * MOST_PER_MS;
  if (!rate.isMap || least <= most) return;
  const message = `${least} requests in ${toDuration(window)} are more than an endpoint gets: the rate is never known`;
  const written = rate.at('minRequests').exists ? rate.at('minRequests') : rate;
  warn(written, { message, hint: `minRequests: ${successMinRequests}, or a longer \`window\`` });
}
