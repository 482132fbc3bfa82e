// Endpoints that nothing reaches, and watching that cannot lead to anything.

import { toDuration } from '../../../lib/duration.js';
import type { Cursor } from '../../cursor.js';
import { DEFAULTS } from '../../defaults.js';
import { healthTimesOf } from '../../effective.js';
import type { Coherence } from './warn.js';

/** Warns about a service's endpoints and how they are watched. */
export function endpointWarnings(coherence: Coherence, service: Cursor): void {
  drainingWarnings(coherence, service);
  zoneWarnings(coherence, service);
  healthWarnings(coherence, service.at('healthCheck'));
  ejectionWarnings(coherence, service);
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
  } else if (count !== undefined && count * percent < 100) {
    const message = `${percent} % of ${count === 1 ? '1 endpoint' : `${count} endpoints`} is less than one: none is ever ejected`;
    const hint =
      count === 1
        ? 'add a second endpoint, or leave `outlierDetection` out'
        : `maxEjectedPercent: ${Math.ceil(100 / count)}`;
    warn(outlier, { message, hint });
  }
}
