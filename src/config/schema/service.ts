// A service as people write it: endpoints, subsets, and how connections to them are made and kept.

import { z } from 'zod';
import { DEFAULTS } from '../defaults.js';
import { parseDnsEndpoint, parseEndpoint } from '../format/address.js';
import { checkPath } from '../format/path.js';
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
      weight: integer(1, 1_000_000).prefault(DEFAULTS.weight).describe('The share among the endpoints.'),
      zone: plainText(253).optional().describe('The zone it is in.'),
    }),
  ])
  .describe('HOST:PORT, unix:PATH, or an object that also says labels, weight and zone.');

const subset = z.record(plainText(253), plainText(253)).describe('Labels that an endpoint must all have.');

const healthCheck = z
  .strictObject({
    http: z
      .strictObject({ path: text(checkPath).describe('Where to ask.') })
      .optional()
      .describe('Asked for with GET; 2xx is healthy.'),
    interval: duration().optional().describe('Between two questions to an endpoint.'),
    timeout: duration().optional().describe('A later answer counts as a failure.'),
    unhealthyAfter: integer(1, 100).optional().describe('Failures in a row until an endpoint is left out.'),
    healthyAfter: integer(1, 100).optional().describe('Successes in a row until it is used again.'),
  })
  .describe('Endpoints are asked whether they are well.');

const outlierDetection = z
  .strictObject({
    consecutiveErrors: integer(1, 1000).optional().describe('Errors in a row until an endpoint is ejected.'),
    baseEjection: duration()
      .optional()
      .describe('How long the first ejection lasts; each further one is longer.'),
    maxEjection: duration().optional().describe('The longest that an ejection lasts.'),
    maxEjectedPercent: integer(0, 100)
      .optional()
      .describe('Of the service; beyond it, ejected endpoints are used again.'),
  })
  .describe('Endpoints that fail are left out for a while.');

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

const limits = z
  .strictObject({
    connections: integer(1, 1 << 24)
      .prefault(bounds.connections)
      .describe('Open connections to the service.'),
    requests: integer(1, 1 << 24)
      .optional()
      .describe('Requests under way.'),
    pending: integer(0, 1 << 20)
      .prefault(bounds.pending)
      .describe('Requests that wait for a connection when all are busy.'),
  })
  .prefault({})
  .describe('Bounds per process.');

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
    loadBalancing: z
      .strictObject({
        policy: z
          .enum(['round-robin', 'peak-ewma', 'least-request', 'random', 'consistent-hash'])
          .prefault(bounds.balancing)
          .describe(
            'By turns and weight, by latency, by open requests, by chance, or by a key of the request.',
          ),
      })
      .prefault({})
      .describe('How an endpoint is picked.'),
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
