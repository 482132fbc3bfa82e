// Times of a service that are longer than those of the requests which it gets.

import { toDuration } from '../../../lib/duration.js';
import type { Cursor } from '../../cursor.js';
import { toPathText } from '../../diagnostic.js';
import { type Coherence, requestTimeoutOf } from './warn.js';

/** Warns about each service once, by the rule that leaves its requests least time. */
export function waitWarnings({ root, services, warn }: Coherence): void {
  const shortest = shortestRequests(root);
  for (const [name, service] of services) {
    const least = shortest.get(name);
    if (least === undefined) continue;
    const request = toDuration(least.ms);
    const waits = [service.at('limits').at('queueTimeout'), service.at('connectTimeout')];
    for (const wait of waits) {
      if (wait.ms === undefined || wait.ms <= least.ms) continue;
      const message = `requests by \`${toPathText(least.rule.path)}\` end after ${request}, before ${toDuration(wait.ms)} are over`;
      warn(wait, { message, hint: `${request} or less here, or a longer \`timeouts.request\` there` });
    }
  }
}

interface Least {
  readonly ms: number;
  readonly rule: Cursor;
}

/** The shortest request timeout among the rules that lead to each service. */
function shortestRequests(root: Cursor): ReadonlyMap<string, Least> {
  const shortest = new Map<string, Least>();
  const rules = root
    .at('routes')
    .items()
    .flatMap((route) => route.at('rules').items());
  for (const rule of rules) {
    const ms = requestTimeoutOf(rule);
    if (ms === undefined) continue;
    for (const backend of rule.at('backends').items()) {
      const name = backend.at('service').text;
      if (name === undefined || (shortest.get(name)?.ms ?? Number.POSITIVE_INFINITY) <= ms) continue;
      shortest.set(name, { ms, rule });
    }
  }
  return shortest;
}
