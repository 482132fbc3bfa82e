// Settings that are each allowed and contradict each other: warnings, with the reason and what to do. Only what is
// written is doubted, never a default.

import type { Cursor } from '../cursor.js';
import { attemptWarnings } from './coherence/attempts.js';
import { boundWarnings } from './coherence/bounds.js';
import { endpointWarnings } from './coherence/endpoints.js';
import { splitWarnings } from './coherence/split.js';
import { trafficWarnings } from './coherence/traffic.js';
import { waitWarnings } from './coherence/waits.js';
import { type Advice, type Coherence, factsOf, type ServiceFacts } from './coherence/warn.js';
import type { RuleContext } from './rule.js';

/** Reports what does not go together. */
export function coherenceRules(context: RuleContext): void {
  const { root, report } = context;
  const warn = (cursor: Cursor, advice: Advice): void => {
    const { message, hint, code = 'INCOHERENT' } = advice;
    report(cursor, { code, message, hint }, { target: 'key', severity: 'warning' });
  };
  const known = new Map<string, ServiceFacts>();
  const facts = (name: string): ServiceFacts | undefined => {
    const service = context.services.get(name);
    if (service === undefined) return undefined;
    const found = known.get(name) ?? factsOf(service);
    known.set(name, found);
    return found;
  };
  const coherence: Coherence = { ...context, warn, facts };
  for (const service of context.services.values()) {
    endpointWarnings(coherence, service);
    boundWarnings(coherence, service);
  }
  for (const listener of context.listeners.values()) {
    for (const owner of [listener, ...listener.at('routes').items()]) splitWarnings(coherence, owner);
  }
  for (const route of root.at('routes').items()) {
    for (const rule of route.at('rules').items()) {
      if (rule.at('backends').exists) attemptWarnings(coherence, rule);
      splitWarnings(coherence, rule);
      trafficWarnings(coherence, { route, rule });
    }
  }
  waitWarnings(coherence);
}
