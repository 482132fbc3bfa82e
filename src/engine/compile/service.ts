// Compiles a service: what each endpoint's text means, which endpoints a subset holds, how connections are kept.

import { DEFAULTS } from '../../config/defaults.js';
import { parseEndpoint } from '../../config/format/address.js';
import type { CheckedEndpoint, CheckedService } from '../../config/schema/service.js';
import type { CheckedServiceTls } from '../../config/schema/tls.js';
import { parseDuration } from '../../lib/duration.js';
import { TulleError } from '../../lib/errors.js';
import type { EndpointAddress, Service, ServiceTls, Subset } from '../snapshot.generated.js';
import { compileCertificate } from './listener.js';
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
    endpoints: endpoints.map(({ address, dns, weight, zone }) => ({
      address: compileAddress(required(address ?? dns, 'an address'), scope),
      weight,
      zone: zone ?? null,
    })),
    subsets: Object.entries(service.subsets).map(([subset, wanted]) =>
      compileSubset(subset, wanted, endpoints),
    ),
    loadBalancing: {
      policy: 'round-robin',
      key: null,
      preferZone: false,
      slowStartMs: 0,
      affinity: null,
    },
    tls: service.tls === undefined ? null : compileTls(service.tls, scope),
    connectTimeoutMs: service.connectTimeout ?? toMs(connectTimeout),
    pool: {
      connections: service.limits.connections,
      idlePerEndpoint: service.pool.idlePerEndpoint,
      idleTimeoutMs: service.pool.idleTimeout,
      requestsPerConnection: service.pool.requestsPerConnection ?? null,
      pending: service.limits.pending,
      queueTimeoutMs: toMs(BOUNDS.queueTimeout),
    },
    circuit: {
      requests: null,
      retries: null,
      endpointConnections: null,
      endpointRequests: null,
      adaptive: null,
    },
    healthCheck: null,
    outlierDetection: null,
  };
}

type LabelledEndpoint = Pick<Exclude<CheckedEndpoint, string>, 'labels'>;

function compileSubset(
  name: string,
  wanted: Readonly<Record<string, string>>,
  endpoints: readonly LabelledEndpoint[],
): Subset {
  const labels = Object.entries(wanted);
  const fits = (endpoint: LabelledEndpoint): boolean =>
    labels.every(([key, value]) => Object.hasOwn(endpoint.labels, key) && endpoint.labels[key] === value);
  return { name, endpoints: endpoints.flatMap((endpoint, index) => (fits(endpoint) ? [index] : [])) };
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

function toMs(text: string): number {
  return required(parseDuration(text), `the duration ${text}`);
}
