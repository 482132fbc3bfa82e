// Compiles a service: what each endpoint's text means, which endpoints a subset holds, how connections are kept.

import { DEFAULTS } from '../../config/defaults.js';
import { toMs } from '../../config/effective.js';
import { parseEndpoint } from '../../config/format/address.js';
import type { CheckedLoadBalancing } from '../../config/schema/balancing.js';
import type { CheckedEndpoint, CheckedService } from '../../config/schema/service.js';
import type { CheckedServiceTls } from '../../config/schema/tls.js';
import { TulleError } from '../../lib/errors.js';
import type { EndpointAddress, Service, ServiceTls, Subset } from '../snapshot.generated.js';
import { compileCertificate } from './listener.js';
import {
  compileBalancing,
  compileCircuit,
  compileHealthCheck,
  compileOutlierDetection,
} from './resilience.js';
import { required, type Scope } from './scope.js';

const BOUNDS = DEFAULTS.service;

/** Compiles one entry of `services`. */
export function compileService(name: string, service: CheckedService, scope: Scope): Service {
  const endpoints = service.endpoints.map((endpoint) =>
    typeof endpoint === 'string'
      ? { address: endpoint, dns: undefined, labels: {}, weight: DEFAULTS.weight, zone: undefined }
      : endpoint,
  );
  const connectTimeout = service.tls?.mode === 'mutual' ? BOUNDS.connectTimeoutMutual : BOUNDS.connectTimeout;
  return {
    name,
    protocol: service.protocol,
    sendProxyProtocol: service.sendProxyProtocol ?? null,
    endpoints: endpoints.map((endpoint) => ({
      address: compileAddress(required(endpoint.address ?? endpoint.dns, 'an address'), scope),
      weight: weightOf(endpoint, service.loadBalancing.weights),
      zone: endpoint.zone ?? null,
    })),
    subsets: Object.entries(service.subsets).map(([subset, wanted]) =>
      compileSubset(subset, wanted, endpoints),
    ),
    loadBalancing: compileBalancing(service.loadBalancing),
    tls: service.tls === undefined ? null : compileTls(service.tls, scope),
    connectTimeoutMs: service.connectTimeout ?? toMs(connectTimeout),
    pool: {
      connections: service.limits.connections,
      idlePerEndpoint: service.pool.idlePerEndpoint,
      idleTimeoutMs: service.pool.idleTimeout,
      requestsPerConnection: service.pool.requestsPerConnection ?? null,
      pending: service.limits.pending,
      queueTimeoutMs: service.limits.queueTimeout,
    },
    circuit: compileCircuit(service.limits),
    healthCheck: service.healthCheck === undefined ? null : compileHealthCheck(service.healthCheck),
    outlierDetection:
      service.outlierDetection === undefined ? null : compileOutlierDetection(service.outlierDetection),
  };
}

type LabelledEndpoint = Pick<Exclude<CheckedEndpoint, string>, 'labels'>;

function compileSubset(
  name: string,
  wanted: Readonly<Record<string, string>>,
  endpoints: readonly LabelledEndpoint[],
): Subset {
  return {
    name,
    endpoints: endpoints.flatMap((endpoint, index) => (hasLabels(endpoint, wanted) ? [index] : [])),
  };
}

/** The endpoint's own weight times those that its labels have; check made sure of the bound. */
function weightOf(
  endpoint: LabelledEndpoint & Pick<Exclude<CheckedEndpoint, string>, 'weight'>,
  weights: CheckedLoadBalancing['weights'],
): number {
  return weights
    .filter(({ labels }) => hasLabels(endpoint, labels))
    .reduce((product, { weight }) => product * weight, endpoint.weight);
}

function hasLabels({ labels }: LabelledEndpoint, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}

function compileAddress(text: string, scope: Scope): EndpointAddress {
  const parsed = parseEndpoint(text);
  if (!parsed.ok) throw new TulleError('INTERNAL', `check let the endpoint ${text} through`);
  return parsed.value.kind === 'unix'
    ? { kind: 'unix', path: scope.resolveFile(parsed.value.path) }
    : parsed.value;
}

function compileTls(tls: CheckedServiceTls, scope: Scope): ServiceTls {
  const identity = tls.identity === undefined ? null : compileCertificate(tls.identity, scope);
  if (tls.mode === 'simple') {
    return {
      mode: 'simple',
      serverName: tls.serverName?.toLowerCase().replace(/\.$/, '') ?? null,
      trustBundle: tls.trustBundle === undefined ? null : scope.resolveFile(tls.trustBundle),
      identity,
    };
  }
  return {
    mode: 'mutual',
    identity: required(identity ?? undefined, 'an identity'),
    trustBundle: scope.resolveFile(required(tls.trustBundle, 'a trust bundle')),
    expect: required(tls.expect, 'identities to expect'),
    trustDomain: tls.trustDomain ?? null,
    crl: tls.crl === undefined ? null : scope.resolveFile(tls.crl),
  };
}
