// A service as people write it: endpoints, subsets, and how connections to them are made and kept.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { parseDnsEndpoint, parseEndpoint } from '../format/address.js';
import { loadBalancing } from './balancing.js';
import { healthCheck, outlierDetection } from './health.js';
import { limits } from './limits.js';
import { duration, integer, name, plainText, text } from './scalar.js';
import { serviceTls } from './tls.js';

const bounds = DEFAULTS.service;

const labels = z.record(plainText(253), plainText(253)).describe('Labels, by which subsets choose.');

const address = text((value) => {
  const parsed = parseEndpoint(value);
  return parsed.ok ? undefined : parsed.problem;
}).meta({ examples: ['127.0.0.1:8080', 'app.internal:8080', 'unix:/run/app.sock'] });

const endpoint = z
  .union([
    address,
    z.strictObject({
      address: address.optional().describe('HOST:PORT or unix:PATH.'),
      dns: text((value) => {
        const parsed = parseDnsEndpoint(value);
        return parsed.ok ? undefined : parsed.problem;
      })
        .meta({ examples: ['app.internal:8080'] })
        .optional()
        .describe('NAME:PORT, looked up again when its TTL ends; every address is used.'),
      labels: labels.prefault({}),
      weight: integer(0, 1_000_000)
        .prefault(DEFAULTS.weight)
        .describe('The share among the endpoints; 0: it drains, only its affinity cookie leads there.'),
      zone: plainText(253).optional().describe('The zone it is in.'),
    }),
  ])
  .describe('HOST:PORT, unix:PATH, or an object that also says labels, weight and zone.');

const subset = z.record(plainText(253), plainText(253)).describe('Labels that an endpoint must all have.');

const pool = z
  .strictObject({
    idlePerEndpoint: integer(0, 65_536)
      .prefault(bounds.idlePerEndpoint)
      .describe('Idle connections kept to each endpoint.'),
    idleTimeout: duration()
      .prefault(bounds.idleTimeout)
      .describe("An idle connection is closed after this; keep it below the server's own."),
    requestsPerConnection: integer(1, 2 ** 31)
      .optional()
      .describe('Requests on one connection before it is closed. Default: any number.'),
  })
  .prefault({})
  .describe('Connections that are kept for further requests.');

/** One entry of `services`. */
export const service = z
  .strictObject({
    protocol: z
      .enum(['http', 'http2', 'grpc', 'tcp'])
      .prefault(bounds.protocol)
      .describe('What the endpoints speak; tcp: anything, bytes are forwarded as they are.'),
    sendProxyProtocol: z
      .enum(['v1', 'v2'])
      .optional()
      .describe("tcp: the PROXY header that names a connection's source to the endpoint. Default: none."),
    endpoints: z.array(endpoint).max(10_000).describe('Where the service is.'),
    subsets: z.record(name(), subset).prefault({}).describe('Named parts of the service.'),
    loadBalancing,
    tls: serviceTls.optional(),
    connectTimeout: duration({ max: 600_000 })
      .optional()
      .describe(
        `A connection attempt, TLS included. Default: ${bounds.connectTimeout}, with mutual TLS ${bounds.connectTimeoutMutual}.`,
      ),
    pool,
    limits,
    healthCheck: healthCheck.optional(),
    outlierDetection: outlierDetection.optional(),
  })
  .describe('Something that requests are sent to.');

/** The same after check. */
export type CheckedService = z.output<typeof service>;
/** One endpoint after check. */
export type CheckedEndpoint = z.output<typeof endpoint>;
