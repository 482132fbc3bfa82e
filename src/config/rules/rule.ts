// What the rules share: how they look at a configuration and how they report, and the questions several of them ask.

import type { Cursor } from '../cursor.js';
import { DEFAULTS } from '../defaults.js';
import type { Problem, Severity } from '../diagnostic.js';
import type { Source, Target } from '../source.js';
import { nearest, suggest } from '../suggest.js';

/** Notes a problem at a cursor; at its value and as an error, unless said otherwise. */
export type Report = (
  cursor: Cursor,
  problem: Problem,
  place?: { target?: Target; severity?: Severity },
) => void;

/** What a set of rules is given. */
export interface RuleContext {
  readonly root: Cursor;
  /** The entries of `listeners`. */
  readonly listeners: ReadonlyMap<string, Cursor>;
  /** The entries of `services`. */
  readonly services: ReadonlyMap<string, Cursor>;
  readonly source: Source;
  readonly report: Report;
}

/** What a listener serves, as far as it can be told. */
export function kindOf(listener: Cursor): 'http' | 'admin' | 'probes' | 'tcp' {
  if (listener.at('admin').value === true) return 'admin';
  if (listener.at('probes').value === true) return 'probes';
  const protocol = listener.at('protocol').text;
  return protocol === 'tcp' || protocol === 'tls-passthrough' ? 'tcp' : 'http';
}

/** Whether clients of a listener show certificates. */
export function isMutual(listener: Cursor): boolean {
  return listener.at('tls').at('mode').value === 'mutual';
}

/** Reports each key of a map that would be without effect. */
export function reportNoEffect(
  report: Report,
  cursors: readonly Cursor[],
  { why, hint }: { why: string; hint?: string },
): void {
  for (const cursor of cursors) {
    const message = `\`${cursor.path.at(-1)}\` is without effect: ${why}`;
    report(
      cursor,
      { code: 'NO_EFFECT', message, ...(hint === undefined ? {} : { hint }) },
      { target: 'key' },
    );
  }
}

/** Reports unless exactly one of the keys is there. What is no map is the schema's to complain about. */
export function reportUnlessOne(report: Report, cursor: Cursor, keys: readonly string[]): void {
  if (!cursor.isMap) return;
  const present = cursor.present(keys);
  const names = keys.map((key) => `\`${key}\``).join(', ');
  // A key that is nearly one of them was meant to be it, and is reported as unknown.
  if (present.length === 0 && !cursor.entries().some(([key]) => nearest(key, keys) !== undefined)) {
    report(cursor, { code: 'MISSING_KEY', message: `one of ${names} is needed here` });
  }
  for (const extra of present.slice(1)) {
    report(extra, { code: 'CONFLICT', message: `only one of ${names} can be here` }, { target: 'key' });
  }
}

/** Reports a map that should say labels and says none. */
export function reportNoLabels(report: Report, labels: Cursor, what: string): void {
  if (!labels.isMap || labels.entries().length > 0) return;
  const message = `${what} says no labels`;
  report(labels, { code: 'BAD_VALUE', message, hint: 'such as { version: v1 }' });
}

/** Whether an endpoint has all of the labels. */
export function hasLabels(endpoint: Cursor, wanted: Cursor): boolean {
  const labels = endpoint.at('labels');
  return wanted.keys().every((key) => labels.valueAt(key) === wanted.valueAt(key));
}

/** Reports each name of a list that appeared before. */
export function reportDuplicates(report: Report, names: readonly Cursor[], what: string): void {
  const seen = new Set<string>();
  for (const cursor of names) {
    if (cursor.text === undefined) continue;
    if (seen.has(cursor.text)) {
      report(cursor, { code: 'DUPLICATE_NAME', message: `${what} \`${cursor.text}\` is there already` });
    }
    seen.add(cursor.text);
  }
}

/** Reports each key of a map that differs from an earlier one only in case. */
export function reportSameHeader(report: Report, map: Cursor): void {
  const seen = new Map<string, string>();
  for (const [name, cursor] of map.entries()) {
    const first = seen.get(name.toLowerCase());
    if (first !== undefined) {
      const message = `\`${name}\` and \`${first}\` are the same header`;
      report(cursor, { code: 'DUPLICATE_NAME', message }, { target: 'key' });
    }
    seen.set(name.toLowerCase(), name);
  }
}

const KIND_WORDS = {
  http: 'an http listener',
  admin: 'an admin listener',
  probes: 'a probes listener',
  tcp: 'a TCP listener',
} as const;

/** Checks the names of listeners in a route or policy. */
export function checkListeners({ listeners, report }: RuleContext, names: Cursor, what: string): void {
  for (const cursor of names.items()) {
    if (cursor.text === undefined) continue;
    const listener = listeners.get(cursor.text);
    if (listener === undefined) {
      const hint = suggest(cursor.text, [...listeners.keys()]);
      report(cursor, {
        code: 'UNKNOWN_LISTENER',
        message: `there is no listener \`${cursor.text}\``,
        ...(hint === undefined ? {} : { hint }),
      });
      continue;
    }
    const kind = kindOf(listener);
    if (kind === 'admin' || kind === 'probes' || (kind === 'tcp' && what === 'routes')) {
      report(cursor, {
        code: 'BAD_LISTENER',
        message: `\`${cursor.text}\` is ${KIND_WORDS[kind]}: it takes no ${what}`,
      });
    }
  }
  reportDuplicates(report, names.items(), 'the listener');
}

/** Checks that a service's name, and the subset beside it, exist. */
export function checkService({ services, report }: RuleContext, name: Cursor, subset?: Cursor): void {
  if (name.text === undefined) return;
  const service = services.get(name.text);
  if (service === undefined) {
    const hint = suggest(name.text, [...services.keys()]);
    report(name, {
      code: 'UNKNOWN_SERVICE',
      message: `there is no service \`${name.text}\``,
      ...(hint === undefined ? {} : { hint }),
    });
    return;
  }
  if (subset?.text === undefined) return;
  const subsets = service
    .at('subsets')
    .entries()
    .map(([key]) => key);
  if (subsets.includes(subset.text)) return;
  const hint = suggest(subset.text, subsets);
  report(subset, {
    code: 'UNKNOWN_SUBSET',
    message: `the service \`${name.text}\` has no subset \`${subset.text}\``,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Checks a list of backends: that what they name exists and takes what is sent, and that some can go somewhere. */
export function checkBackends(
  context: RuleContext,
  backends: Cursor,
  carries: 'requests' | 'connections' = 'requests',
): void {
  const items = backends.items();
  for (const backend of items) {
    checkService(context, backend.at('service'), backend.at('subset'));
    checkProtocol(context, backend.at('service'), carries);
  }
  if (items.length > 0 && items.every((backend) => backend.at('weight').value === 0)) {
    context.report(backends, {
      code: 'WEIGHTS_SUM_ZERO',
      message: 'every weight is 0: no request could go anywhere',
    });
  }
}

/** Checks that a service takes what it is sent. */
export function checkProtocol(
  { services, report }: RuleContext,
  name: Cursor,
  carries: 'requests' | 'connections',
): void {
  const service = name.text === undefined ? undefined : services.get(name.text);
  if (service === undefined) return;
  const protocol = service.at('protocol').text ?? DEFAULTS.service.protocol;
  if ((protocol === 'tcp') === (carries === 'connections')) return;
  const message =
    carries === 'connections'
      ? `\`${name.text}\` takes ${protocol} requests, and this sends connections as they are`
      : `\`${name.text}\` is a tcp service: it takes no requests`;
  const wanted = carries === 'connections' ? 'tcp' : 'http';
  report(name, { code: 'BAD_SERVICE', message, hint: `the service needs \`protocol: ${wanted}\`` });
}
