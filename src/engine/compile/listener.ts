// Compiles a listener: its canonical address, its kind, and the defaults that depend on other parts.

import { DEFAULTS, isServerFirst } from '../../config/defaults.js';
import { parseSocketAddress, type SocketAddress, toAddressText } from '../../config/format/address.js';
import { toComparableHostname } from '../../config/format/hostname.js';
import { parseNetwork, toNetworkText } from '../../config/format/network.js';
import type { CheckedListener } from '../../config/schema/listener.js';
import type { CheckedListenerTls } from '../../config/schema/tls.js';
import { TulleError } from '../../lib/errors.js';
import type {
  Certificate,
  EscapePolicy,
  Forwarding,
  Listener,
  ListenerKind,
  ListenerTls,
} from '../snapshot.generated.js';
import { compileBackend } from './route.js';
import { required, type Scope } from './scope.js';

/** Compiles one entry of `listeners`. */
export function compileListener(name: string, listener: CheckedListener, scope: Scope): Listener {
  // Where policy looks at paths, what could be read in two ways is refused before it.
  const escapes: EscapePolicy = scope.pathGuarded.has(name) ? 'reject' : 'keep';
  const { headers, limits } = listener;
  return {
    name,
    address: canonicalAddress(listener.address),
    kind: kindOf(listener),
    shared: listener.shared,
    tls: listener.tls === undefined ? null : compileTls(listener.tls, scope, listener.protocol),
    forwardIdentity: listener.forwardIdentity,
    forwarded: {
      forwardedFor: headers.forwarded !== 'off',
      trust: headers.forwarded === 'trust',
      requestId: headers.requestId,
      trace: headers.trace,
      deadline: headers.deadline,
      via: headers.via ?? null,
    },
    paths: {
      encodedSlash: listener.encodedSlash ?? escapes,
      pathParameters: listener.pathParameters ?? escapes,
    },
    http1: listener.protocol !== 'http2',
    upgrade: listener.upgrade,
    connect: listener.connect,
    limits: {
      connections: limits.connections,
      streams: limits.streams,
      headerBytes: limits.headerBytes,
      headerFields: limits.headerFields,
      headerTimeoutMs: limits.headerTimeout,
      bodyBytesPerSecond: limits.bodyBytesPerSecond,
      idleTimeoutMs: limits.idleTimeout,
      bodyBytes: limits.bodyBytes ?? null,
    },
    forward: compileForwarding(listener, scope),
    proxyProtocol:
      listener.proxyProtocol === undefined
        ? null
        : {
            accept: listener.proxyProtocol.accept.map(canonicalNetwork),
            optional: listener.proxyProtocol.optional,
          },
  };
}

function compileForwarding(listener: CheckedListener, scope: Scope): Forwarding | null {
  if (kindOf(listener) === 'http' || listener.admin || listener.probes) return null;
  return {
    backends: (listener.backends ?? []).map((backend) => compileBackend(backend, scope)),
    sni: (listener.routes ?? []).map(({ hostnames, backends }) => ({
      hostnames: [...new Set(hostnames.map(toComparableHostname))],
      backends: backends.map((backend) => compileBackend(backend, scope)),
    })),
    serverFirst: isServerFirst(socketAddress(listener.address).port),
    streamIdleTimeoutMs: listener.timeouts.streamIdle,
  };
}

/** A certificate with absolute file names. */
export function compileCertificate({ cert, key }: Certificate, scope: Scope): Certificate {
  return { cert: scope.resolveFile(cert), key: scope.resolveFile(key) };
}

function compileTls(
  tls: CheckedListenerTls,
  scope: Scope,
  protocol: CheckedListener['protocol'],
): ListenerTls {
  const isMutual = tls.mode === 'mutual';
  const certificates = isMutual
    ? [required(tls.identity, 'an identity')]
    : required(tls.certificates, 'certificates');
  const minVersion = String(tls.minVersion ?? DEFAULTS.minTlsVersion);
  return {
    mode: tls.mode,
    certificates: certificates.map((certificate) => compileCertificate(certificate, scope)),
    trustBundle: isMutual ? scope.resolveFile(required(tls.trustBundle, 'a trust bundle')) : null,
    trustDomain: tls.trustDomain ?? null,
    crl: tls.crl === undefined ? null : scope.resolveFile(tls.crl),
    alpn: alpnOf(protocol, tls),
    tls12: !isMutual && minVersion === '1.2',
  };
}

function alpnOf(protocol: CheckedListener['protocol'], { alpn }: CheckedListenerTls): string[] {
  // What is forwarded unread may be any protocol: none is promised.
  if (protocol === 'tcp') return [];
  return protocol === 'http2' ? ['h2'] : [...new Set(alpn)];
}

function kindOf({ admin, probes, protocol }: CheckedListener): ListenerKind {
  if (admin) return 'admin';
  if (probes) return 'probes';
  return protocol === 'http2' ? 'http' : protocol;
}

function canonicalNetwork(text: string): string {
  const parsed = parseNetwork(text);
  if (!parsed.ok) throw new TulleError('INTERNAL', `check let the network ${text} through`);
  return toNetworkText(parsed.value);
}

function canonicalAddress(text: string): string {
  return toAddressText(socketAddress(text));
}

function socketAddress(text: string): SocketAddress {
  const parsed = parseSocketAddress(text);
  if (!parsed.ok) throw new TulleError('INTERNAL', `check let the address ${text} through`);
  return parsed.value;
}
