// What the resilience and overload scenarios ask of a proxy: one listener before one service of several endpoints, with
// the same settings for everybody, as far as each has words for them.

import type { Ground, Plan } from './peer.js';

/** What a proxy is set up for: endpoints that fail, or one endpoint with too much to do. */
export type ServiceShape = 'resilience' | 'overload';

/** A plan, and where the proxy is asked about itself. */
export interface ServicePlan extends Plan {
  readonly admin: { readonly port: number; readonly health: string; readonly metrics: string };
}

/** Writes the configuration of a proxy in front of these ports of 127.0.0.1. */
export type ServicePlanner = (shape: ServiceShape, ground: Ground, ports: readonly number[]) => ServicePlan;

/** The settings in common; times in milliseconds. */
export const SETTINGS = {
  connectMs: 250,
  perTryMs: 500,
  requestMs: 2000,
  retries: 2,
  backoff: { baseMs: 25, maxMs: 250 },
  budget: { percent: 20, minPerSecond: 10 },
  health: { path: '/healthz', intervalMs: 500, timeoutMs: 200, unhealthyAfter: 3, healthyAfter: 2 },
  outlier: {
    consecutiveErrors: 5,
    /** Ejected below this share of successes, in percent. */
    successPercent: 80,
    windowMs: 2000,
    minRequests: 20,
    baseMs: 1000,
    maxMs: 10_000,
    maxEjectedPercent: 50,
  },
  /** Requests under way, connections, and requests that wait for one. */
  limit: 1024,
  /** Overload: the bounds of an adaptive limit, and of the wait in a queue. */
  adaptive: { min: 4, max: 1000 },
  queueMs: 500,
} as const;

/** The path of requests that are turned away last. */
export const HIGH_PATH = '/high';

/** Milliseconds as text with a unit that all three read. */
export function ms(milliseconds: number): string {
  return `${milliseconds}ms`;
}

/** Milliseconds as Envoy's JSON has them. */
export function seconds(milliseconds: number): string {
  return `${milliseconds / 1000}s`;
}
