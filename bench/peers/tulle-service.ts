// Tulle before a service of several endpoints. In: settings and ports; out: a configuration file and a command. Also the
// two configurations of which one has nothing switched on, the other everything, none of which ever fires.

import { type Ground, single } from './peer.js';
import { HIGH_PATH, ms, SETTINGS as S, type ServicePlanner } from './service.js';
import { BASE, LISTENER, launchTulle, type TulleConfig } from './tulle.js';

/** Tulle with one worker, as `tulle proxy` runs it. */
export const tulleService: ServicePlanner = (shape, ground, ports) => {
  const [port, admin] = [ground.ports.take(), ground.ports.take()];
  const parts = shape === 'overload' ? overload(ports) : resilience(ports);
  const launch = launchTulle(ground, 'tulle', { ...BASE, listeners: listeners(port, admin), ...parts });
  const asked = { port: admin, health: '/healthz', metrics: '/metrics' };
  return { ...single(launch, port, false), admin: asked };
};

function listeners(port: number, admin: number): TulleConfig {
  return {
    web: { address: `127.0.0.1:${port}`, ...LISTENER },
    admin: { address: `127.0.0.1:${admin}`, admin: true },
  };
}

function addresses(ports: readonly number[]): string[] {
  return ports.map((port) => `127.0.0.1:${port}`);
}

const LIMITS = { connections: S.limit, requests: S.limit, pending: S.limit };

const HEALTH_CHECK = {
  http: { path: S.health.path },
  interval: ms(S.health.intervalMs),
  timeout: ms(S.health.timeoutMs),
  unhealthyAfter: S.health.unhealthyAfter,
  healthyAfter: S.health.healthyAfter,
};

const OUTLIER_DETECTION = {
  consecutiveErrors: S.outlier.consecutiveErrors,
  successRate: {
    percent: S.outlier.successPercent,
    window: ms(S.outlier.windowMs),
    minRequests: S.outlier.minRequests,
  },
  baseEjection: ms(S.outlier.baseMs),
  maxEjection: ms(S.outlier.maxMs),
  maxEjectedPercent: S.outlier.maxEjectedPercent,
};

const RETRY = {
  attempts: S.retries,
  on: ['connect-failure', 'reset', '5xx', 'per-try-timeout'],
  backoff: { base: ms(S.backoff.baseMs), max: ms(S.backoff.maxMs) },
  budget: S.budget,
};

const TIMEOUTS = { request: ms(S.requestMs), perTry: ms(S.perTryMs) };

function resilience(ports: readonly number[]): TulleConfig {
  const app = {
    endpoints: addresses(ports),
    // The others let an endpoint that came back have its share at once.
    loadBalancing: { policy: 'peak-ewma', slowStart: '0s' },
    connectTimeout: ms(S.connectMs),
    limits: LIMITS,
    healthCheck: HEALTH_CHECK,
    outlierDetection: OUTLIER_DETECTION,
  };
  const rule = { timeouts: TIMEOUTS, retry: RETRY, backends: [{ service: 'app' }] };
  return { services: { app }, routes: [{ name: 'all', rules: [rule] }] };
}

function overload(ports: readonly number[]): TulleConfig {
  const app = {
    endpoints: addresses(ports),
    connectTimeout: ms(S.connectMs),
    limits: { ...LIMITS, queueTimeout: ms(S.queueMs), adaptive: S.adaptive },
  };
  const rule = {
    timeouts: { request: ms(S.requestMs) },
    retry: { attempts: 0 },
    backends: [{ service: 'app' }],
  };
  const high = { ...rule, matches: [{ path: { exact: HIGH_PATH } }], priority: 'high' };
  return { services: { app }, routes: [{ name: 'all', rules: [high, rule] }] };
}

/** The configurations that the idle features are measured with. */
export type FeatureSet = 'plain' | 'everything';

/** Nothing switched on, or everything with bounds that nothing reaches. */
export function featureConfig(
  set: FeatureSet,
  ground: Ground,
  ports: readonly number[],
): { config: TulleConfig; port: number } {
  const [port, admin] = [ground.ports.take(), ground.ports.take()];
  const parts = set === 'plain' ? plain(ports) : everything(ports);
  return { config: { ...BASE, listeners: listeners(port, admin), ...parts }, port };
}

function plain(ports: readonly number[]): TulleConfig {
  const app = { endpoints: addresses(ports), loadBalancing: { policy: 'round-robin', slowStart: '0s' } };
  const rule = { retry: { attempts: 0 }, backends: [{ service: 'app' }] };
  return { services: { app }, routes: [{ name: 'all', rules: [rule] }] };
}

const HUGE = 1_000_000;

function everything(ports: readonly number[]): TulleConfig {
  const app = {
    endpoints: addresses(ports),
    loadBalancing: { policy: 'peak-ewma' },
    limits: {
      connections: HUGE,
      requests: HUGE,
      retries: HUGE,
      endpoint: { connections: HUGE, requests: HUGE },
      adaptive: { min: 1000, max: HUGE },
    },
    // At most one question to each endpoint in a window: they are among the requests that the upstream counts.
    healthCheck: { ...HEALTH_CHECK, interval: '5s', timeout: '2s' },
    outlierDetection: OUTLIER_DETECTION,
  };
  const rule = {
    filters: [
      { rateLimit: { requestsPerSecond: HUGE, key: { source: true } } },
      { mirror: { service: 'shadow', percent: 0 } },
      {
        fault: {
          delay: { percent: 0, duration: '1s' },
          abort: { percent: 0, status: 503 },
          bandwidth: { percent: 0, bytesPerSecond: HUGE },
        },
      },
    ],
    timeouts: TIMEOUTS,
    retry: RETRY,
    sticky: { source: true },
    // The callers' one address falls to the first.
    backends: [
      { service: 'app', weight: HUGE },
      { service: 'shadow', weight: HUGE / 1000 },
    ],
  };
  const shadow = { endpoints: addresses(ports) };
  return { services: { app, shadow }, routes: [{ name: 'all', rules: [rule] }] };
}
