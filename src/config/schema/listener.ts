// A listener as people write it: an address, what it serves, and what it asks of clients.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { parseSocketAddress } from '../format/address.js';
import { parseNetwork } from '../format/network.js';
import { backends } from './backend.js';
import { hostnames } from './hostnames.js';
import { duration, integer, text } from './scalar.js';
import { listenerTls } from './tls.js';

const bounds = DEFAULTS.listener;

const limits = z
  .strictObject({
    connections: integer(1, 1 << 24)
      .prefault(bounds.connections)
      .describe('Open connections; further ones are closed at once.'),
    streams: integer(1, 32_767)
      .prefault(bounds.streams)
      .describe('Requests under way on one connection of HTTP/2.'),
    headerBytes: integer(256, 1 << 20)
      .prefault(bounds.headerBytes)
      .describe('Bytes of a request head.'),
    headerFields: integer(1, 1000).prefault(bounds.headerFields).describe('Fields of a request head.'),
    headerTimeout: duration()
      .prefault(bounds.headerTimeout)
      .describe(
        "From a connection's first byte, or the previous answer, to the end of the head; also the TLS handshake.",
      ),
    bodyBytesPerSecond: integer(0, 1 << 30)
      .prefault(bounds.bodyBytesPerSecond)
      .describe('A request body slower than this over 10 s is cut; 0: never.'),
    idleTimeout: duration()
      .prefault(bounds.idleTimeout)
      .describe('A connection without a request is closed after this.'),
    bodyBytes: integer(0, 2 ** 50)
      .optional()
      .describe('Bytes of a request body. Default: any number.'),
  })
  .prefault({})
  .describe('Bounds on what clients may use, per process.');

const headers = z
  .strictObject({
    forwarded: z
      .enum(['set', 'trust', 'off'])
      .prefault(bounds.forwarded)
      .describe(
        "x-forwarded-for, -proto and -host. set: ours instead of the client's. trust: ours appended to the client's. off: none.",
      ),
    requestId: z
      .boolean()
      .prefault(bounds.requestId)
      .describe('x-request-id is passed on if well-formed, or made.'),
    trace: z
      .boolean()
      .prefault(bounds.trace)
      .describe('traceparent is passed on if well-formed, or begun; B3 is passed on.'),
    deadline: z
      .boolean()
      .prefault(bounds.deadline)
      .describe('x-tulle-deadline says how many milliseconds are left for the request.'),
    via: text((value) =>
      /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/.test(value)
        ? undefined
        : {
            code: 'BAD_VALUE',
            message: `${JSON.stringify(value.slice(0, 80))} is not a pseudonym for via`,
            hint: 'one word',
          },
    )
      .optional()
      .describe('The pseudonym that is added to via. Default: none is added.'),
  })
  .prefault({})
  .describe('Headers that are added to what goes upstream.');

const escapePolicy = z.enum(['keep', 'reject']).optional();

const timeouts = z
  .strictObject({
    streamIdle: duration({ min: 0 })
      .prefault(bounds.streamIdleTimeout)
      .describe('A forwarded connection without a byte either way ends after this; 0s: no limit.'),
  })
  .prefault({})
  .describe('tcp, tls-passthrough and auto: how long things may take.');

const network = text((value) => {
  const parsed = parseNetwork(value);
  return parsed.ok ? undefined : parsed.problem;
}).meta({ examples: ['10.0.0.0/8', '192.0.2.7', '2001:db8::/32'] });

/** One entry of `listeners`. */
export const listener = z
  .strictObject({
    address: text((value) => {
      const parsed = parseSocketAddress(value);
      return parsed.ok ? undefined : parsed.problem;
    })
      .meta({ examples: ['127.0.0.1:8080', '0.0.0.0:443', '[::]:443'] })
      .describe('IP:PORT, IPv6 in brackets; port 0 takes a free one.'),
    protocol: z
      .enum(['http', 'http2', 'auto', 'tcp', 'tls-passthrough'])
      .prefault('http')
      .describe(
        'http: HTTP/1 and HTTP/2. http2: HTTP/2 only. auto: TLS, HTTP/1, HTTP/2 or opaque bytes, told apart by a bounded look.',
      ),
    admin: z
      .boolean()
      .prefault(false)
      .describe('Serves /healthz, /readyz, /metrics and /config; loopback only.'),
    probes: z
      .boolean()
      .prefault(false)
      .describe('Serves /healthz, /readyz and /metrics only; may bind any address.'),
    shared: z.boolean().prefault(false).describe('Another process may hold the address too (SO_REUSEPORT).'),
    tls: listenerTls.optional(),
    forwardIdentity: z
      .boolean()
      .prefault(false)
      .describe('Sets x-forwarded-client-cert from the verified client certificate.'),
    headers,
    encodedSlash: escapePolicy.describe(
      '%2F in paths. Default: keep; reject (400) where an enforced policy with path conditions applies.',
    ),
    pathParameters: escapePolicy.describe(
      '; in paths. Default: keep; reject (400) where an enforced policy with path conditions applies.',
    ),
    upgrade: z
      .boolean()
      .prefault(bounds.upgrade)
      .describe('Requests may ask for another protocol, such as WebSocket.'),
    connect: z
      .boolean()
      .prefault(bounds.connect)
      .describe('CONNECT is tunnelled to the backend of its route; otherwise 405.'),
    limits,
    backends: backends.optional().describe('tcp and auto: where opaque connections go, by weight.'),
    routes: z
      .array(z.strictObject({ hostnames, backends: backends.describe('Where they go, by weight.') }))
      .max(100_000)
      .optional()
      .describe('tls-passthrough and auto: where TLS goes unopened, by the name it asks for (SNI).'),
    timeouts,
    proxyProtocol: z
      .strictObject({
        accept: z
          .array(network)
          .min(1)
          .max(1000)
          .describe('Networks whose PROXY header is believed; from elsewhere none is looked for.'),
        optional: z
          .boolean()
          .prefault(bounds.proxyOptional)
          .describe(
            'Connections from elsewhere or without a header are taken as they are; otherwise closed.',
          ),
      })
      .optional()
      .describe('The PROXY protocol, versions 1 and 2.'),
  })
  .describe('A listening address.');

/** The same after check. */
export type CheckedListener = z.output<typeof listener>;
