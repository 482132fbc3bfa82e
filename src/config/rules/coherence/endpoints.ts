// Endpoints that nothing reaches, and watching that cannot lead to anything.

import { toDuration } from '../../../lib/duration.js';
import type { Cursor } from '../../cursor.js';
import { DEFAULTS } from '../../defaults.js';
import { toPathText } from '../../diagnostic.js';
import { healthTimesOf } from '../../effective.js';
import { weightOf } from '../balancing.js';
import { hasLabels } from '../rule.js';
import { type Coherence, targetOf } from './warn.js';

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
  const subsets = service.at('subsets').entries();
  const byLabel = service.at('loadBalancing').at('weights').items();
  const seen = new Map<string, Cursor[]>();
  for (const endpoint of service.at('endpoints').items()) {
    const target = targetOf(endpoint);
    if (target === undefined) continue;
    const earlier = seen.get(JSON.stringify(target)) ?? [];
    seen.set(JSON.stringify(target), [...earlier, endpoint]);
    const others = earlier.filter((other) =>
      subsets.every(([, subset]) => hasLabels(other, subset) === hasLabels(endpoint, subset)),
    );
    const weights = [...others, endpoint].map((one) => weightOf(one, byLabel));
    const [first] = others;
    if (first === undefined || weights.includes(0)) continue;
    const place = source.place(first.path, 'value');
    const where = place === null ? '' : ` (${place.line}:${place.column})`;
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const times = weights.length === 2 ? 'twice' : `${weights.length} times`;
    const share = new Set(weights).size === 1 ? `gets ${times} the share` : `has the weight ${sum} in all`;
    const message = `the same as \`${toPathText(first.path)}\`${where}: this endpoint ${share}`;
    const merged = [...others, endpoint].map((one) => one.at('weight').number ?? DEFAULTS.weight);
    const weight = merged.reduce((total, one) => total + one, 0);
    warn(endpoint, { message, hint: `leave it out; \`weight: ${weight}\` there says the same` });
  }
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
  const zones = new Set(endpoints.map((endpoint) => endpoint.at('zone').text));
  zones.delete(undefined);
  if (zones.has(zone)) return;
  const message =
    zones.size === 0
      ? 'no endpoint says its zone: there is none to prefer'
      : `no endpoint is in this proxy's zone \`${zone}\`, but in ${[...zones].slice(0, 8).join(', ')}`;
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
