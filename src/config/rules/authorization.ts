// Authorization: policies that guard something, and conditions that some request can meet.

import type { Cursor } from '../cursor.js';
import { trustDomainOf } from '../format/spiffe.js';
import {
  checkListeners,
  isMutual,
  kindOf,
  type Report,
  type RuleContext,
  reportDuplicates,
  reportUnlessOne,
} from './rule.js';

/** Reports what is wrong with policies. */
export function authorizationRules(context: RuleContext): void {
  const { root, report } = context;
  const policies = root.at('authorization').items();
  reportDuplicates(
    report,
    policies.map((policy) => policy.at('name')),
    'a policy named',
  );
  for (const policy of policies) {
    if (policy.isMap && policy.present(['listeners', 'service']).length === 0) {
      report(policy, {
        code: 'MISSING_KEY',
        message: '`listeners` is needed here: what does the policy guard?',
      });
    }
    checkListeners(context, policy.at('listeners'), 'policies');
    for (const rule of policy.at('rules').items()) {
      for (const condition of rule.at('paths').items())
        reportUnlessOne(report, condition, ['exact', 'prefix', 'regex']);
      checkCallers(report, rule.at('from'), guarded(root, policy));
      checkConditions(report, rule, guarded(root, policy));
    }
  }
}

/** The listeners that a policy names, as far as they exist. */
function guarded(root: Cursor, policy: Cursor): [string, Cursor][] {
  const names = new Set(
    policy
      .at('listeners')
      .items()
      .map(({ text }) => text),
  );
  return root
    .at('listeners')
    .entries()
    .filter(([name, listener]) => names.has(name) && ['http', 'tcp'].includes(kindOf(listener)));
}

function checkCallers(report: Report, from: Cursor, listeners: readonly [string, Cursor][]): void {
  if (!from.exists) return;
  for (const [name, listener] of listeners) {
    if (!isMutual(listener)) {
      const message = `callers of \`${name}\` show no certificate: the rule fits none of them`;
      const isSealed = listener.at('protocol').text === 'tls-passthrough';
      const hint = `the listener needs \`${isSealed ? 'protocol: tcp, ' : ''}tls: { mode: mutual }\``;
      report(from, { code: 'NEVER_FITS', message, hint }, { target: 'key', severity: 'warning' });
      continue;
    }
    const domain = listener.at('tls').at('trustDomain').text;
    for (const caller of from.items()) {
      if (domain === undefined || caller.text === undefined || trustDomainOf(caller.text) === domain)
        continue;
      const message = `callers of \`${name}\` are of the trust domain \`${domain}\`: the ID can never fit`;
      report(caller, { code: 'NEVER_FITS', message }, { severity: 'warning' });
    }
  }
}

/** Connections that are forwarded unread have no method and no path. */
function checkConditions(report: Report, rule: Cursor, listeners: readonly [string, Cursor][]): void {
  for (const [name] of listeners.filter(([, listener]) => kindOf(listener) === 'tcp')) {
    for (const condition of rule.present(['methods', 'paths'])) {
      const message = `\`${name}\` is a TCP listener: it reads no requests, so \`${condition.path.at(-1)}\` cannot be met`;
      const hint = 'guard it by `from`, in a policy of its own';
      report(condition, { code: 'NEVER_FITS', message, hint }, { target: 'key' });
    }
  }
}
