// Headers that no filter may edit: framing, hop-by-hop and identity belong to the proxy. The data plane refuses the
// same names (native/decide/src/http/kind.rs); here they are told where they are written.
// In: a field name. Out: why it is reserved, or nothing.

/** Framing and connection (RFC 9110 section 7.6.1), and what decides how a body is sent. */
const OURS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** How gateways, load balancers and meshes begin the names of what they say about a verified peer. */
const IDENTITY = [
  'x-forwarded-client-cert',
  'x-client-cert',
  'x-client-dn',
  'x-client-verify',
  'x-client-san',
  'x-client-spiffe',
  'x-ssl-client',
  'x-ssl-cert',
  'x-tls-client',
  'x-envoy-',
  'x-peer-cert',
  'x-spiffe-id',
  'x-amzn-mtls-',
  'x-arr-clientcert',
  'client-cert',
  'ssl-client',
  'ssl-cert',
  'tls-client',
  'l5d-',
];

/** Names that we set ourselves: editable, but only in their own spelling, since backends fold `_` and `-`. */
const SET_BY_US = /^(x-forwarded-.+|x-real-ip|x-request-id)$/;

/** What to do instead of editing a reserved header, empty where nothing; undefined for a header that may be edited. */
export function reservedHeader(name: string): string | undefined {
  const lower = name.toLowerCase();
  const folded = lower.replace(/[^a-z0-9]/g, '-');
  if (folded === 'host') return 'use `rewrite: { host: … }`';
  if (OURS.has(folded)) return '';
  if (IDENTITY.some((beginning) => folded.startsWith(beginning))) {
    return 'identity comes from `forwardIdentity: true` on the listener';
  }
  if (folded !== lower && SET_BY_US.test(folded)) return `write ${folded}`;
  return undefined;
}
