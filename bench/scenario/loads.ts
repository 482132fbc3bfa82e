// The throughput scenarios as a table: what the peers are configured as, and what the load asks for.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CALL_HEADERS, METHODS, messageFrame } from '../measure/grpc.js';
import type { Load } from '../measure/load.js';
import type { ScenarioName } from '../options.js';
import type { Shape } from '../peers/peer.js';

/** What a scenario asks for; its times are the run's. */
export interface LoadPlan extends Omit<Load, 'warmUp' | 'duration' | 'body'> {
  readonly shape: Shape;
  /** Seconds that the load's program takes to get going, on top of the warm-up; 0 where nothing is said. */
  readonly startUp?: number;
  /** Every request is a call with one message. */
  readonly isCall?: boolean;
  /** Windows of two fifths of a full one, and no second copy of the first peer: there are many of these. */
  readonly isShort?: boolean;
}

/** Two fifths of a window of 2 s are some ten thousand requests. */
export const SHORT = 0.4;

/** Messages of each streaming call. */
const STREAMED = 100;

function http2(shape: Shape, connections: number, streams: number): LoadPlan {
  return { shape, program: 'h2load', path: '/1k', connections, streams, isShort: true };
}

function calls(connections: number, streams: number): LoadPlan {
  const plan = http2('h2', connections, streams);
  return { ...plan, path: METHODS.unary, headers: CALL_HEADERS, isCall: true };
}

/** The throughput scenarios. */
export const LOADS: ReadonlyMap<ScenarioName, LoadPlan> = new Map<ScenarioName, LoadPlan>([
  ['h1-1k-32', { shape: 'http', path: '/1k', connections: 32 }],
  ['h1-1k-256', { shape: 'http', path: '/1k', connections: 256 }],
  ['h1-16k-32', { shape: 'http', path: '/16k', connections: 32 }],
  ['h1-16k-256', { shape: 'http', path: '/16k', connections: 256 }],
  ['tls-1k-32', { shape: 'tls', path: '/1k', connections: 32 }],
  ['h2-h1-32x1', http2('h2-h1', 32, 1)],
  ['h2-h1-4x8', http2('h2-h1', 4, 8)],
  ['tls-h2-32x1', http2('tls-h2', 32, 1)],
  ['h2-32x1', http2('h2', 32, 1)],
  ['h2-4x8', http2('h2', 4, 8)],
  ['grpc-4x8', calls(4, 8)],
  ['grpc-32x1', calls(32, 1)],
  ['grpc-1x100', calls(1, 100)],
  [
    'grpc-stream',
    {
      shape: 'h2',
      program: 'ghz',
      path: METHODS.both,
      connections: 4,
      messages: STREAMED,
      startUp: 0.4,
      isShort: true,
    },
  ],
  ['tcp-1k-32', { shape: 'tcp', path: '/1k', connections: 32, isShort: true }],
  ['tcp-16k-32', { shape: 'tcp', path: '/16k', connections: 32, isShort: true }],
  [
    'tcp-connect-32',
    { shape: 'tcp', path: '/small', connections: 32, headers: ['Connection: close'], isShort: true },
  ],
  ['sni-1k-32', { shape: 'sni', path: '/1k', connections: 32, isShort: true }],
  ['mtls-pair-32', { shape: 'pair', path: '/1k', connections: 32 }],
  ['mtls-pair-1', { shape: 'pair', path: '/1k', connections: 1, isShort: true }],
  ['mtls-pair-256', { shape: 'pair', path: '/1k', connections: 256, isShort: true }],
]);

/** The load of a scenario with the run's times; a call's body goes into a file of the folder. */
export function loadOf(plan: LoadPlan, run: { folder: string; warmUp: number; duration: number }): Load {
  const { isCall = false, isShort = false, startUp = 0, shape: _, ...load } = plan;
  const duration = isShort ? run.duration * SHORT : run.duration;
  const times = { warmUp: startUp + (isShort ? Math.min(0.2, run.warmUp) : run.warmUp), duration };
  if (!isCall) return { ...load, ...times };
  const body = join(run.folder, 'message');
  writeFileSync(body, messageFrame());
  return { ...load, ...times, body };
}
