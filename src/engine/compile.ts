// Compiles a checked configuration into a snapshot, the closed and complete document that the data plane takes.
// In: a configuration without errors, where its file lies, and how many cores there are. Out: the same snapshot, byte
// for byte, for the same input: no clock, no files, no environment. Before: check. After: the addon checks and applies.

import { createHash } from 'node:crypto';
import type { CheckedConfig } from '../config/load.js';
import { compileListener } from './compile/listener.js';
import { compilePolicy } from './compile/policy.js';
import { compileRoute } from './compile/route.js';
import { createScope } from './compile/scope.js';
import { compileService } from './compile/service.js';
import { FORMAT, type Snapshot } from './snapshot.generated.js';

/** What a configuration does not say itself. */
export interface CompileOptions {
  /** Absolute folder that file names are relative to. */
  readonly baseDir: string;
  /** Workers where the configuration names no number: the cores this process may use, 1 to 256. */
  readonly defaultWorkers: number;
}

/** Compiles. Throws only for bugs: a configuration that check accepted compiles. */
export function compile(config: CheckedConfig, options: CompileOptions): Snapshot {
  const scope = createScope(config, options.baseDir);
  const snapshot: Snapshot = {
    format: FORMAT,
    version: '',
    workers: config.workers ?? options.defaultWorkers,
    accessLog: {
      requests: config.accessLog.requests,
      file: config.accessLog.file === '-' ? '-' : scope.resolveFile(config.accessLog.file),
    },
    drainMs: config.drain,
    memoryBytes: config.memory ?? null,
    zone: config.zone ?? null,
    listeners: Object.entries(config.listeners).map(([name, listener]) =>
      compileListener(name, listener, scope),
    ),
    services: Object.entries(config.services).map(([name, service]) => compileService(name, service, scope)),
    routes: config.routes.map((route) => compileRoute(route, scope)),
    authorization: config.authorization.map((policy) => compilePolicy(policy, scope)),
  };
  return { ...snapshot, version: digest(snapshot) };
}

/** The bytes that cross to the data plane. Keys stand in the order of compile, so that equal snapshots are equal bytes. */
export function toSnapshotBytes(snapshot: Snapshot): Buffer {
  return Buffer.from(JSON.stringify(snapshot));
}

function digest(snapshot: Snapshot): string {
  return createHash('sha256').update(toSnapshotBytes(snapshot)).digest('hex').slice(0, 12);
}
