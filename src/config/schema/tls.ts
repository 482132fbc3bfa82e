// TLS as people write it, at listeners (what we show) and towards services (what we ask for).

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { checkHostname } from '../format/hostname.js';
import { checkSpiffeId, checkTrustDomain } from '../format/spiffe.js';
import { fileName, text } from './scalar.js';

const certificate = z
  .strictObject({
    cert: fileName().describe('PEM file of the chain, leaf first.'),
    key: fileName().describe('PEM file of the private key.'),
  })
  .describe('A certificate chain and its key. The files are watched and reloaded.');

const mode = z
  .enum(['simple', 'mutual'])
  .prefault(DEFAULTS.tlsMode)
  .describe('simple: only the server shows a certificate. mutual: both sides do, with SPIFFE IDs.');

const trustDomain = text(checkTrustDomain)
  .optional()
  .describe('mutual: the trust domain of the peer. Default: that of our own certificate.');

const crl = fileName().optional().describe('mutual: PEM file of revoked certificates.');

/** `tls` of a listener. */
export const listenerTls = z
  .strictObject({
    mode,
    certificates: z
      .array(certificate)
      .max(1000)
      .optional()
      .describe('simple: chosen by SNI against the DNS names in them; the first is the default.'),
    identity: certificate.optional().describe('mutual: our certificate, with one SPIFFE ID.'),
    trustBundle: fileName()
      .optional()
      .describe('mutual: PEM file of the roots that clients are checked against.'),
    trustDomain,
    crl,
    minVersion: z
      .literal([1.2, 1.3, '1.2', '1.3'])
      .optional()
      .describe(`The oldest TLS version. Default: ${DEFAULTS.minTlsVersion}; mutual is always 1.3.`),
    alpn: z
      .array(z.enum(['http/1.1', 'h2']))
      .min(1)
      .max(2)
      .prefault([...DEFAULTS.alpn])
      .describe('Protocols offered, best first.'),
  })
  .describe('TLS at a listener.');

/** `tls` of a service. */
export const serviceTls = z
  .strictObject({
    mode,
    serverName: text((value) => checkHostname(value, 'plain'))
      .optional()
      .describe("simple: the name asked for (SNI) and verified. Default: the endpoint's own host."),
    trustBundle: fileName().optional().describe("PEM file of roots. Default for simple: the system's."),
    identity: certificate.optional().describe('Our certificate; needed for mutual.'),
    expect: z
      .array(text(checkSpiffeId))
      .min(1)
      .max(1000)
      .optional()
      .describe('mutual: SPIFFE IDs, one of which the peer must have; its DNS name is not looked at.'),
    trustDomain,
    crl,
  })
  .describe('TLS towards the endpoints of a service.');

/** The same after check. */
export type CheckedListenerTls = z.output<typeof listenerTls>;
/** The same after check. */
export type CheckedServiceTls = z.output<typeof serviceTls>;
