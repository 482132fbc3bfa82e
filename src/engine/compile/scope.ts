// What the parts of compile look up: indices of names, absolute file names, which listeners a policy inspects.

import path from 'node:path';
import type { CheckedConfig } from '../../config/load.js';
import { TulleError } from '../../lib/errors.js';

/** Look-ups into one configuration. */
export interface Scope {
  /** The index of a listener. */
  readonly listener: (name: string) => number;
  /** The index of a service. */
  readonly service: (name: string) => number;
  /** The index of a subset in its service. */
  readonly subset: (service: string, subset: string) => number;
  /** Indices of the listeners that routes apply to where they name none. */
  readonly routedListeners: readonly number[];
  /** Names of the listeners to which an enforced policy with path conditions applies. */
  readonly pathGuarded: ReadonlySet<string>;
  /** The absolute name of a file. */
  readonly resolveFile: (file: string) => string;
}

/** Indexes a configuration. */
export function createScope(config: CheckedConfig, baseDir: string): Scope {
  const listeners = toIndex(Object.keys(config.listeners));
  const services = toIndex(Object.keys(config.services));
  const subsets = new Map(
    Object.entries(config.services).map(([name, service]) => [name, toIndex(Object.keys(service.subsets))]),
  );
  return {
    listener: (name) => required(listeners.get(name), `listener ${name}`),
    service: (name) => required(services.get(name), `service ${name}`),
    subset: (service, subset) =>
      required(subsets.get(service)?.get(subset), `subset ${subset} of ${service}`),
    routedListeners: Object.values(config.listeners).flatMap(({ admin, probes, protocol }, index) =>
      admin || probes || protocol === 'tcp' || protocol === 'tls-passthrough' ? [] : [index],
    ),
    pathGuarded: new Set(
      config.authorization
        .filter(({ mode, rules }) => mode === 'enforce' && rules.some(({ paths }) => paths !== undefined))
        .flatMap(({ listeners: names = [] }) => names),
    ),
    resolveFile: (file) => path.resolve(baseDir, file),
  };
}

/** A value that check made sure of. */
export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined)
    throw new TulleError('INTERNAL', `check let a configuration through without ${what}`);
  return value;
}

/** Ascending and each once. */
export function toIndices(indices: readonly number[]): number[] {
  return [...new Set(indices)].toSorted((a, b) => a - b);
}

function toIndex(names: readonly string[]): ReadonlyMap<string, number> {
  return new Map(names.map((name, index) => [name, index]));
}
