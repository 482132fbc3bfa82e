// Envoy before a service of several endpoints. In: settings and ports; out: a configuration file and a command.

import { envoyBinary } from '../rig/packages.js';
import { ENVOY_FLAGS, socket, typed } from './envoy-parts.js';
import { type Ground, single } from './peer.js';
import { SETTINGS as S, type ServicePlanner, type ServiceShape, seconds } from './service.js';

/** Envoy with one worker thread. */
export const envoyService: ServicePlanner = (shape, ground, ports) => {
  const [port, admin] = [ground.ports.take(), ground.ports.take()];
  const configuration = {
    admin: { address: socket(admin) },
    static_resources: { listeners: [listener(shape, port)], clusters: [cluster(shape, ports)] },
  };
  const launch = { command: command(ground, configuration), listens: [port, admin] };
  const asked = { port: admin, health: '/ready', metrics: '/stats/prometheus' };
  return { ...single(launch, port, false), admin: asked };
};

function command(ground: Ground, configuration: object): [string, ...string[]] {
  const file = ground.write('envoy.json', JSON.stringify(configuration, undefined, 1));
  return [envoyBinary(), '-c', file, ...ENVOY_FLAGS];
}

function listener(shape: ServiceShape, port: number): object {
  const router = {
    name: 'envoy.filters.http.router',
    typed_config: typed('envoy.extensions.filters.http.router.v3.Router', {}),
  };
  const route = {
    cluster: 'out',
    timeout: seconds(S.requestMs),
    ...(shape === 'resilience' ? { retry_policy: RETRY } : {}),
  };
  const manager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'in',
    codec_type: 'HTTP1',
    use_remote_address: true,
    route_config: {
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route }] }],
    },
    http_filters: shape === 'overload' ? [ADAPTIVE, router] : [router],
  });
  return {
    name: 'in',
    address: socket(port),
    filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
  };
}

const RETRY = {
  retry_on: '5xx,connect-failure,reset',
  num_retries: S.retries,
  per_try_timeout: seconds(S.perTryMs),
  retry_back_off: { base_interval: seconds(S.backoff.baseMs), max_interval: seconds(S.backoff.maxMs) },
  retry_host_predicate: [
    {
      name: 'envoy.retry_host_predicates.previous_hosts',
      typed_config: typed('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate', {}),
    },
  ],
  host_selection_retry_max_attempts: '5',
};

/** The gradient controller with the values of its documentation's example, but for the time without measuring. */
const ADAPTIVE = {
  name: 'envoy.filters.http.adaptive_concurrency',
  typed_config: typed('envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency', {
    gradient_controller_config: {
      sample_aggregate_percentile: { value: 90 },
      concurrency_limit_params: {
        concurrency_update_interval: '0.1s',
        max_concurrency_limit: S.adaptive.max,
      },
      min_rtt_calc_params: {
        jitter: { value: 10 },
        interval: '60s',
        request_count: 50,
        min_concurrency: S.adaptive.min,
      },
    },
    enabled: { default_value: true, runtime_key: 'adaptive.enabled' },
  }),
};

function cluster(shape: ServiceShape, ports: readonly number[]): object {
  const limits = {
    priority: 'DEFAULT',
    max_connections: S.limit,
    max_requests: S.limit,
    max_pending_requests: S.limit,
    ...(shape === 'resilience' ? { retry_budget: BUDGET } : {}),
  };
  return {
    name: 'out',
    type: 'STATIC',
    connect_timeout: seconds(S.connectMs),
    lb_policy: 'LEAST_REQUEST',
    circuit_breakers: { thresholds: [limits] },
    load_assignment: {
      cluster_name: 'out',
      endpoints: [{ lb_endpoints: ports.map((port) => ({ endpoint: { address: socket(port) } })) }],
    },
    ...(shape === 'resilience' ? HEALTH : {}),
  };
}

/** Of the requests under way, not of a rate: its least is a number of retries at once. */
const BUDGET = { budget_percent: { value: S.budget.percent }, min_retry_concurrency: S.budget.minPerSecond };

const HEALTH = {
  health_checks: [
    {
      timeout: seconds(S.health.timeoutMs),
      interval: seconds(S.health.intervalMs),
      unhealthy_threshold: S.health.unhealthyAfter,
      healthy_threshold: S.health.healthyAfter,
      no_traffic_interval: seconds(S.health.intervalMs),
      http_health_check: { path: S.health.path },
    },
  ],
  outlier_detection: {
    consecutive_5xx: S.outlier.consecutiveErrors,
    interval: '0.5s',
    base_ejection_time: seconds(S.outlier.baseMs),
    max_ejection_time: seconds(S.outlier.maxMs),
    max_ejection_percent: S.outlier.maxEjectedPercent,
    enforcing_success_rate: 0,
    failure_percentage_threshold: 100 - S.outlier.successPercent,
    enforcing_failure_percentage: 100,
    failure_percentage_minimum_hosts: 3,
    failure_percentage_request_volume: S.outlier.minRequests,
    // Otherwise an endpoint that fails every second request comes back with its next health check, which it passes.
    successful_active_health_check_uneject_host: false,
  },
};
