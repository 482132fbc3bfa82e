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
    balancing: 'round-robin',
    /** Towards the world; inside a mesh, that is with mutual TLS, connectTimeoutMutual. */
    connectTimeout: '3s',
    connectTimeoutMutual: '1s',
    connections: 16_384,
    pending: 1024,
    queueTimeout: '1s',
    idlePerEndpoint: 1024,
    /** Below the 5 s after which many servers close. */
    idleTimeout: '4s',
  },

  policyMode: 'enforce',

  route: {
    requestTimeout: '15s',
    streamIdleTimeout: '5m',
    retryAttempts: 1,
    retryOn: ['connect-failure', 'reset'],
    redirectStatus: 302,
  },

  /** Ports of protocols whose server speaks first: `auto` forwards what comes there without a look. */
  serverFirstPorts: [25, 587, 3306, 4444, 5432, 6379, 9300, 11211],
} as const;

/** Whether a port is one of {@link DEFAULTS}' server-first ones. */
export function isServerFirst(port: number): boolean {
  return (DEFAULTS.serverFirstPorts as readonly number[]).includes(port);
}
