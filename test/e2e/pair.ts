// Two endpoints of one service, and the configuration of a proxy in front of them: traffic and admin on a listener each.

import type { ProxyConfig } from '../../src/index.js';
import { freePorts } from '../ports.js';
import type { Scope } from '../process.js';
import { Caller, Endpoint } from './endpoint.js';

export type Service = NonNullable<ProxyConfig['services']>[string];
export type Rule = NonNullable<NonNullable<ProxyConfig['routes']>[number]['rules']>[number];

/** Where a proxy listens. */
export interface Listens {
  readonly port: number;
  readonly adminPort: number;
}

/** Requests go to endpoints by turns, which are in full use at once. */
export const BY_TURNS: Service['loadBalancing'] = { policy: 'round-robin', slowStart: '0s' };

/** Four workers in front of the service `api`, to which all rules lead. */
export function inFront(
  { port, adminPort }: Listens,
  service: Service,
  rules: readonly Partial<Rule>[],
): ProxyConfig {
  return {
    workers: 4,
    listeners: {
      web: { address: `127.0.0.1:${port}` },
      admin: { address: `127.0.0.1:${adminPort}`, admin: true },
    },
    services: { api: { loadBalancing: BY_TURNS, ...service } },
    routes: [{ name: 'all', rules: rules.map((rule) => ({ backends: [{ service: 'api' }], ...rule })) }],
  };
}

/** The two. */
export interface Pair extends Listens {
  readonly a: Endpoint;
  readonly b: Endpoint;
  readonly config: ProxyConfig;
  /** As many connections as requests at a time. */
  caller(connections?: number): Caller;
}

/** Starts both behind a service like this, with more endpoints or others, and rules like those; a proxy is still to be started. */
export async function pair(
  scope: Scope,
  { more = [], ...service }: Partial<Service> & { more?: readonly string[] },
  rules: readonly Partial<Rule>[] = [{}],
): Promise<Pair> {
  const [port = 0, adminPort = 0, one = 0, two = 0] = await freePorts(4);
  const [a, b] = [await Endpoint.start(scope, 'a', one), await Endpoint.start(scope, 'b', two)];
  const config = inFront(
    { port, adminPort },
    { endpoints: [a.address, b.address, ...more], ...service } as Service,
    rules,
  );
  const caller = (connections?: number): Caller => new Caller(scope, port, connections);
  return { port, adminPort, a, b, config, caller };
}

/** Both do the same from now on, and what they saw is forgotten. */
export function both({ a, b }: Pick<Pair, 'a' | 'b'>, reply: Endpoint['reply']): void {
  for (const endpoint of [a, b]) {
    endpoint.flush();
    endpoint.reply = reply;
  }
}
