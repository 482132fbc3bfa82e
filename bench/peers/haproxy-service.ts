// HAProxy before a service of several endpoints. In: settings and ports; out: a configuration file and a command.
//
// `timeout server` is the per-try timeout; there is none for the request as a whole, and no retry budget. `mark-down` after
// so many errors in a row is its outlier detection: what health checks find well comes back after two of them.

import { single } from './peer.js';
import { HIGH_PATH, ms, SETTINGS as S, type ServicePlanner } from './service.js';

/** Requests that one endpoint is given at a time under overload: twice its workers, which the operator has to know. */
const SLOTS = 8;

/** HAProxy with one thread. */
export const haproxyService: ServicePlanner = (shape, ground, ports) => {
  const [port, admin] = [ground.ports.take(), ground.ports.take()];
  const backend = shape === 'overload' ? overload(ports) : resilience(ports);
  const text = `global
  nbthread 1
  maxconn 11000
  no strict-limits
defaults
  mode http
  http-reuse always
  timeout connect ${ms(S.connectMs)}
  timeout client 300s
  timeout http-keep-alive 300s
frontend in
  bind 127.0.0.1:${port} backlog 4096
  ${shape === 'overload' ? `http-request set-priority-class int(-10) if { path ${HIGH_PATH} }` : ''}
  default_backend out
frontend admin
  bind 127.0.0.1:${admin}
  monitor-uri /healthz
  http-request use-service prometheus-exporter if { path /metrics }
backend out
  ${backend.join('\n  ')}
`;
  const file = ground.write('haproxy.cfg', text);
  const launch = { command: ['haproxy', '-db', '-f', file] as const, listens: [port, admin] };
  const asked = { port: admin, health: '/healthz', metrics: '/metrics' };
  return { ...single({ ...launch, command: [...launch.command] }, port, false), admin: asked };
};

function resilience(ports: readonly number[]): string[] {
  const { health, outlier } = S;
  const server = [
    `check inter ${ms(health.intervalMs)} fall ${health.unhealthyAfter} rise ${health.healthyAfter}`,
    `observe layer7 error-limit ${outlier.consecutiveErrors} on-error mark-down`,
    `maxconn ${Math.ceil(S.limit / ports.length)}`,
  ].join(' ');
  return [
    'balance leastconn',
    `timeout server ${ms(S.perTryMs)}`,
    `timeout queue ${ms(S.requestMs)}`,
    `timeout check ${ms(health.timeoutMs)}`,
    'option httpchk',
    `http-check send meth GET uri ${health.path} ver HTTP/1.1 hdr Host check`,
    'http-check expect status 200-299',
    `retries ${S.retries}`,
    'option redispatch 1',
    'retry-on conn-failure empty-response response-timeout 500 502 503 504',
    ...ports.map((port, at) => `server e${at} 127.0.0.1:${port} ${server}`),
  ];
}

function overload(ports: readonly number[]): string[] {
  return [
    `timeout server ${ms(S.requestMs)}`,
    `timeout queue ${ms(S.queueMs)}`,
    'retries 0',
    ...ports.map((port, at) => `server e${at} 127.0.0.1:${port} maxconn ${SLOTS}`),
  ];
}
