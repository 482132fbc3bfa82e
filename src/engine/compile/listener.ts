// Compiles a listener: its canonical address, its kind, and the defaults that depend on other parts.

import { DEFAULTS } from '../../config/defaults.js';
import { parseSocketAddress, toAddressText } from '../../config/format/address.js';
import type { CheckedListener } from '../../config/schema/listener.js';
import type { CheckedListenerTls } from '../../config/schema/tls.js';
import { TulleError } from '../../lib/errors.js';
import type {
  Certificate,
  EscapePolicy,
  Listener,
  ListenerKind,
  ListenerTls,
} from '../snapshot.generated.js';
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
    tls: listener.tls === undefined ? null : compileTls(listener.tls, scope),
    forwardIdentity: listener.forwardIdentity,
    forwarded: {
      forwardedFor: headers.forwarded !== 'off',
      trust: headers.forwarded === 'trust',
      requestId: headers.requestId,
      trace: headers.trace,
      via: headers.via ?? null,
    },
    paths: {
      encodedSlash: listener.encodedSlash ?? escapes,
      pathParameters: listener.pathParameters ?? escapes,
    },
    upgrade: listener.upgrade,
    connect: listener.connect,
    limits: {
      connections: limits.connections,
      headerBytes: limits.headerBytes,
      headerFields: limits.headerFields,
      headerTimeoutMs: limits.headerTimeout,
      bodyBytesPerSecond: limits.bodyBytesPerSecond,
      idleTimeoutMs: limits.idleTimeout,
      bodyBytes: limits.bodyBytes ?? null,
    },
  };
}

/** A certificate with absolute file names. */
export function compileCertificate({ cert, key }: Certificate, scope: Scope): Certificate {
  return { cert: scope.resolveFile(cert), key: scope.resolveFile(key) };
}

function compileTls(tls: CheckedListenerTls, scope: Scope): ListenerTls {
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
    alpn: [...new Set(tls.alpn)],
    tls12: !isMutual && minVersion === '1.2',
  };
}

function kindOf({ admin, probes }: CheckedListener): ListenerKind {
  if (admin) return 'admin';
  return probes ? 'probes' : 'http';
}

function canonicalAddress(text: string): string {
  const parsed = parseSocketAddress(text);
  if (!parsed.ok) throw new TulleError('INTERNAL', `check let the address ${text} through`);
  return toAddressText(parsed.value);
}
