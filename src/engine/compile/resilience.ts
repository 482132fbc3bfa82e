// Compiles what keeps a service serving: how an endpoint is picked and watched, and how much is under way.

import { adaptiveOf, healthTimesOf, maxEjectionOf } from '../../config/effective.js';
import { toAuthority } from '../../config/format/hostname.js';
import type { CheckedLoadBalancing } from '../../config/schema/balancing.js';
import type { CheckedHealthCheck, CheckedOutlierDetection } from '../../config/schema/health.js';
import type { CheckedLimits } from '../../config/schema/limits.js';
import type {
  CircuitLimits,
  HealthCheck,
  HealthProbe,
  LoadBalancing,
  OutlierDetection,
} from '../snapshot.generated.js';
import { compileOptionalKey } from './key.js';

/** Compiles `loadBalancing`, without its weights by label. */
export function compileBalancing(balancing: CheckedLoadBalancing): LoadBalancing {
  const { policy, key, preferZone, slowStart, affinity } = balancing;
  return {
    policy,
    key: compileOptionalKey(key),
    preferZone,
    slowStartMs: slowStart,
    affinity:
      affinity === undefined
        ? null
        : { cookie: affinity.cookie, maxAgeS: Math.ceil((affinity.maxAge ?? 0) / 1000) },
  };
}

/** Compiles the parts of `limits` that are not about connections. */
export function compileCircuit({ requests, retries, endpoint, adaptive }: CheckedLimits): CircuitLimits {
  return {
    requests: requests ?? null,
    retries: retries ?? null,
    endpointConnections: endpoint.connections ?? null,
    endpointRequests: endpoint.requests ?? null,
    adaptive: adaptive === undefined ? null : adaptiveOf(adaptive, requests),
  };
}

/** Compiles `healthCheck`. */
export function compileHealthCheck(check: CheckedHealthCheck): HealthCheck {
  const { interval, idleInterval, timeout } = healthTimesOf(check);
  return {
    probe: compileProbe(check),
    intervalMs: interval,
    idleIntervalMs: idleInterval,
    timeoutMs: timeout,
    unhealthyAfter: check.unhealthyAfter,
    healthyAfter: check.healthyAfter,
  };
}

function compileProbe({ http, grpc }: CheckedHealthCheck): HealthProbe {
  if (grpc !== undefined) return { kind: 'grpc', service: grpc.service };
  if (http === undefined) return { kind: 'tcp' };
  return { kind: 'http', path: http.path, host: http.host === undefined ? null : toAuthority(http.host) };
}

/** Compiles `outlierDetection`. */
export function compileOutlierDetection(outlier: CheckedOutlierDetection): OutlierDetection {
  const { successRate, baseEjection, maxEjection } = outlier;
  return {
    consecutiveErrors: outlier.consecutiveErrors,
    successRate:
      successRate === 'off'
        ? null
        : {
            percent: successRate.percent,
            windowMs: successRate.window,
            minRequests: successRate.minRequests,
          },
    baseEjectionMs: baseEjection,
    maxEjectionMs: maxEjectionOf({ base: baseEjection, max: maxEjection }),
    maxEjectedPercent: outlier.maxEjectedPercent,
  };
}
