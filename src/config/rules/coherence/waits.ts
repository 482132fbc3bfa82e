// Times of a service that are longer than those of the requests which it gets.

import { toDuration } from '../../../lib/duration.js';
import type { Cursor } from '../../cursor.js';
import { toPathText } from '../../diagnostic.js';
import { backendWeight, type Coherence, requestTimeoutOf } from './warn.js';

/** Warns about each time of a service once, by the rule that leaves its requests least. */
export function waitWarnings({ root, services, warn }: Coherence): void {
  const requests = shortest(root, requestsOf);
  const attempts = shortest(root, attemptsOf);
  for (const [name, service] of services) {
    const waits = [
      { wait: service.at('limits').at('queueTimeout'), least: requests.get(name) },
      { wait: service.at('connectTimeout'), least: attempts.get(name) },
    ];
    for (const { wait, least } of waits) {
      if (least === undefined || wait.ms === undefined || wait.ms <= least.ms) continue;
      const end = toDuration(least.ms);
      const message = `${least.what} by \`${toPathText(least.rule.path)}\` end after ${end}, before ${toDuration(wait.ms)} are over`;
      warn(wait, { message, hint: `${end} or less here, or a longer \`timeouts.${least.key}\` there` });
    }
  }
}

interface Least {
  readonly ms: number;
  readonly what: string;
  /** Which of the rule's `timeouts` says so. */
  readonly key: string;
  readonly rule: Cursor;
}

function requestsOf(rule: Cursor): Least | undefined {
  const ms = requestTimeoutOf(rule);
  return ms === undefined ? undefined : { ms, what: 'requests', key: 'request', rule };
}

/** An attempt, its connection included, ends by its own time or with the request. */
function attemptsOf(rule: Cursor): Least | undefined {
  const request = requestsOf(rule);
  const { ms } = rule.at('timeouts').at('perTry');
  if (ms === undefined || (request !== undefined && request.ms <= ms)) return request;
  return { ms, what: 'attempts', key: 'perTry', rule };
}

/** The shortest such time among the rules that lead to each service. */
function shortest(root: Cursor, timeOf: (rule: Cursor) => Least | undefined): ReadonlyMap<string, Least> {
  const found = new Map<string, Least>();
  const rules = root
    .at('routes')
    .items()
    .flatMap((route) => route.at('rules').items());
  for (const rule of rules) {
    const time = timeOf(rule);
    if (time === undefined) continue;
    for (const backend of rule.at('backends').items()) {
      const name = backend.at('service').text;
      if (name === undefined || backendWeight(backend) === 0) continue;
      if ((found.get(name)?.ms ?? Number.POSITIVE_INFINITY) > time.ms) found.set(name, time);
    }
  }
  return found;
}
