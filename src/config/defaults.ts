// Every default of the configuration language, written once: the schemas and compile read them here.
// Durations are as people write them, so that the exported JSON Schema shows the same text.

/** What applies where a configuration says nothing. */
export const DEFAULTS = {
  drain: '30s',
  /** Where `accessLog` is written and does not say which requests. */
  accessLogRequests: 'errors',
  /** Where it is not written. */
  accessLog: { requests: 'off', file: '-' },

  listener: {
    connections: 65_536,
    streams: 100,
    headerBytes: 61_440,
    headerFields: 100,
    headerTimeout: '10s',
    bodyBytesPerSecond: 240,
    idleTimeout: '60s',
    forwarded: 'set',
    requestId: true,
    trace: true,
    deadline: true,
    upgrade: true,
    connect: false,
    /** Of connections that are forwarded unread. */
    streamIdleTimeout: '5m',
    proxyOptional: false,
  },
  alpn: ['h2', 'http/1.1'],
  tlsMode: 'simple',
  minTlsVersion: '1.2',

  /** Of an endpoint among the endpoints, of a backend among the backends. */
  weight: 1,

  service: {
    protocol: 'http',
    balancing: 'peak-ewma',
    preferZone: false,
    slowStart: '10s',
    /** Towards the world; inside a mesh, that is with mutual TLS, connectTimeoutMutual. */
    connectTimeout: '3s',
    connectTimeoutMutual: '1s',
    connections: 16_384,
    pending: 1024,
    queueTimeout: '1s',
    idlePerEndpoint: 1024,
    /** Below the 5 s after which many servers close. */
    idleTimeout: '4s',
    /** Where `adaptive` is written and does not say them. */
    adaptiveMin: 4,
    adaptiveMax: 1024,
    /** Where `healthCheck` is written. */
    healthCheck: {
      interval: '5s',
      /** Without traffic. */
      idleInterval: '30s',
      timeout: '2s',
      unhealthyAfter: 3,
      healthyAfter: 2,
    },
    /** Where `outlierDetection` is written. */
    outlierDetection: {
      consecutiveErrors: 5,
      successPercent: 80,
      successWindow: '10s',
      successMinRequests: 20,
      baseEjection: '1s',
      maxEjection: '60s',
      maxEjectedPercent: 50,
    },
  },

  policyMode: 'enforce',

  route: {
    requestTimeout: '15s',
    streamIdleTimeout: '5m',
    retryAttempts: 1,
    retryOn: ['connect-failure', 'reset'],
    backoffBase: '25ms',
    /** The longest wait, as a multiple of the base. */
    backoffFactor: 10,
    budgetPercent: 20,
    budgetMinPerSecond: 10,
    nonIdempotent: false,
    /** Where `hedge` is written. */
    hedgePercentile: 95,
    hedgeMaxPercent: 5,
    priority: 'normal',
    redirectStatus: 302,
    /** Of the requests, of a mirror or a fault. */
    percent: 100,
    /** 64 bytes each. */
    rateLimitKeys: 1_000_000,
  },

  /** Ports of protocols whose server speaks first: `auto` forwards what comes there without a look. */
  serverFirstPorts: [25, 587, 3306, 4444, 5432, 6379, 9300, 11211],
} as const;

/** Whether a port is one of {@link DEFAULTS}' server-first ones. */
export function isServerFirst(port: number): boolean {
  return (DEFAULTS.serverFirstPorts as readonly number[]).includes(port);
}
