// What the parts of coherence share: how they warn, and what they ask of a rule.

import type { Cursor } from '../../cursor.js';
import { DEFAULTS } from '../../defaults.js';
import type { DiagnosticCode } from '../../diagnostic.js';
import { toMs } from '../../effective.js';
import { type EndpointTarget, parseEndpoint } from '../../format/address.js';
import { weightOf } from '../balancing.js';
import { hasLabels, type RuleContext } from '../rule.js';

/** A warning: the reason, and what to do. */
export interface Advice {
  readonly message: string;
  readonly hint: string;
  /** Default `INCOHERENT`. */
  readonly code?: DiagnosticCode;
}

/** What the parts of coherence are given. */
export interface Coherence extends RuleContext {
  /** Warns at a key, or at an element of a list. */
  readonly warn: (cursor: Cursor, advice: Advice) => void;
  /** What rules ask of a service, by its name; undefined where there is none. */
  readonly facts: (service: string) => ServiceFacts | undefined;
}

/** What rules ask of a service, looked up once for all of them. */
export interface ServiceFacts {
  /** How many addresses it has, or undefined where a name stands for any number of them. */
  readonly fixedEndpoints: number | undefined;
  /** Names of subsets whose labels no endpoint has. */
  readonly emptySubsets: ReadonlySet<string>;
  /** True: it has endpoints, and all of them have the weight 0. */
  readonly isDraining: boolean;
  /** Names of subsets whose endpoints all have the weight 0. */
  readonly drainingSubsets: ReadonlySet<string>;
  /** The name of its affinity cookie. */
  readonly affinityCookie: string | undefined;
  /** `limits.retries`. */
  readonly retries: number | undefined;
}

/** Looks a service over. */
export function factsOf(service: Cursor): ServiceFacts {
  const endpoints = service.at('endpoints').items();
  const entries = service.at('loadBalancing').at('weights').items();
  const serving = endpoints.filter((endpoint) => weightOf(endpoint, entries) > 0);
  const hasOne = (among: readonly Cursor[], subset: Cursor): boolean =>
    among.some((endpoint) => hasLabels(endpoint, subset));
  const subsets = service
    .at('subsets')
    .entries()
    .filter(([, subset]) => subset.isMap);
  const without = (among: readonly Cursor[]): string[] =>
    subsets.filter(([, subset]) => !hasOne(among, subset)).map(([name]) => name);
  const empty = new Set(without(endpoints));
  return {
    fixedEndpoints: fixedEndpoints(endpoints),
    emptySubsets: empty,
    isDraining: endpoints.length > 0 && serving.length === 0,
    drainingSubsets: new Set(without(serving).filter((name) => !empty.has(name))),
    affinityCookie: service.at('loadBalancing').at('affinity').at('cookie').text,
    retries: service.at('limits').at('retries').number,
  };
}

/** Milliseconds after which a rule's requests end, or undefined where they do not. */
export function requestTimeoutOf(rule: Cursor): number | undefined {
  const written = rule.at('timeouts').at('request');
  const ms = written.exists ? written.ms : toMs(DEFAULTS.route.requestTimeout);
  return ms === 0 ? undefined : ms;
}

/** Retries after the first try. */
export function attemptsOf(rule: Cursor): number {
  return rule.at('retry').at('attempts').number ?? DEFAULTS.route.retryAttempts;
}

/** The facts of the service that a backend names, if there is one. */
export function serviceOf({ facts }: Coherence, backend: Cursor): ServiceFacts | undefined {
  const name = backend.at('service').text;
  return name === undefined ? undefined : facts(name);
}

/** The weight of a backend. */
export function backendWeight(backend: Cursor): number {
  return backend.at('weight').number ?? DEFAULTS.weight;
}

/** What a map of headers says of one of them, by its name in any case. */
export function headerOf(headers: Cursor, name: string): string | undefined {
  return headers.entries().find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1].text;
}

/** What an endpoint's text stands for, where it can be read. */
export function targetOf(endpoint: Cursor): EndpointTarget | undefined {
  const text =
    endpoint.text ?? (endpoint.at('address').exists ? endpoint.at('address') : endpoint.at('dns')).text;
  const parsed = text === undefined ? undefined : parseEndpoint(text);
  return parsed?.ok === true ? parsed.value : undefined;
}

function fixedEndpoints(endpoints: readonly Cursor[]): number | undefined {
  const targets = endpoints.map(targetOf);
  const isFixed = targets.every((target) => target !== undefined && target.kind !== 'dns');
  if (targets.length === 0 || !isFixed) return undefined;
  return new Set(targets.map((target) => JSON.stringify(target))).size;
}
