// How a service is watched and bounded: one kind of health check that its protocol has, bounds in order, and nothing
// that connections without requests would not look at.

import { toDuration } from '../../lib/duration.js';
import type { Cursor } from '../cursor.js';
import { DEFAULTS } from '../defaults.js';
import { adaptiveOf, maxEjectionOf, toMs } from '../effective.js';
import { type Report, reportNoEffect, reportUnlessOne } from './rule.js';

/** Reports what is wrong with how a service is watched and bounded. */
export function resilienceRules(report: Report, service: Cursor): void {
  checkHealth(report, service);
  checkEjection(report, service.at('outlierDetection'));
  checkLimits(report, service);
}

function checkHealth(report: Report, service: Cursor): void {
  const check = service.at('healthCheck');
  reportUnlessOne(report, check, ['http', 'grpc', 'tcp']);
  const protocol = service.at('protocol').text ?? DEFAULTS.service.protocol;
  for (const http of check.present(['http'])) {
    if (protocol !== 'tcp') continue;
    const message = 'a tcp service is not asked by HTTP';
    report(http, { code: 'CONFLICT', message, hint: 'healthCheck: { tcp: true }' }, { target: 'key' });
  }
  for (const grpc of check.present(['grpc'])) {
    if (protocol === 'grpc' || protocol === 'http2') continue;
    const message = `gRPC is spoken over HTTP/2, and the service is of \`protocol: ${protocol}\``;
    report(grpc, { code: 'CONFLICT', message, hint: 'protocol: grpc or http2' }, { target: 'key' });
  }
}

function checkEjection(report: Report, outlier: Cursor): void {
  const base = outlier.at('baseEjection').ms ?? toMs(DEFAULTS.service.outlierDetection.baseEjection);
  const max = maxEjectionOf({ base, max: outlier.at('maxEjection').ms });
  if (base <= max) return;
  const message = `the first ejection, ${toDuration(base)}, is longer than the longest, ${toDuration(max)}`;
  report(outlier.at('maxEjection'), { code: 'CONFLICT', message });
}

function checkLimits(report: Report, service: Cursor): void {
  const limits = service.at('limits');
  if (service.at('protocol').text === 'tcp') {
    const written = [
      ...limits.present(['requests', 'retries', 'adaptive']),
      ...limits.at('endpoint').present(['requests']),
    ];
    const why = 'a tcp service takes connections, not requests';
    reportNoEffect(report, written, { why, hint: 'limits.connections bounds them' });
  }
  const adaptive = limits.at('adaptive');
  const { min, max } = adaptiveOf(
    { min: adaptive.at('min').number, max: adaptive.at('max').number },
    limits.at('requests').number,
  );
  if (!adaptive.isMap || min <= max) return;
  const message = `the adaptive limit would go from ${min} to ${max}: \`min\` is above \`max\``;
  report(adaptive.at('min'), { code: 'CONFLICT', message });
}
