// What the language knows and this version does not build yet: refused, never silently left out. A part that gets
// built loses its line here.

import type { Cursor } from '../cursor.js';
import { kindOf, type Report, type RuleContext } from './rule.js';

const MESH = 'it belongs to a mesh, which comes with `tulle control`';

/** Reports each use of what is not built yet, once. */
export function unsupportedRules({ root, report }: RuleContext): void {
  for (const [, listener] of root.at('listeners').entries()) checkListener(report, listener);
  for (const [, service] of root.at('services').entries()) checkService(report, service);
  for (const route of root.at('routes').items()) {
    reportKeys(report, route.present(['service']), MESH);
    for (const rule of route.at('rules').items()) checkRule(report, rule);
  }
  for (const policy of root.at('authorization').items())
    reportKeys(report, policy.present(['service']), MESH);
}

function checkListener(report: Report, listener: Cursor): void {
  const kind = kindOf(listener);
  if (kind === 'admin' || kind === 'probes')
    reportKeys(report, listener.present(['tls']), `the listener is \`${kind}\``);
}

function checkService(report: Report, service: Cursor): void {
  const policies = ['peak-ewma', 'least-request', 'random', 'consistent-hash'];
  reportValues(report, service.at('loadBalancing').at('policy'), policies);
  reportKeys(report, service.present(['healthCheck', 'outlierDetection']));
  reportKeys(report, service.at('limits').present(['requests']));
}

function checkRule(report: Report, rule: Cursor): void {
  for (const filter of rule.at('filters').items())
    reportKeys(report, filter.present(['mirror', 'fault', 'rateLimit']));
  reportKeys(report, rule.at('timeouts').present(['perTry']));
  reportKeys(report, rule.at('retry').present(['backoff', 'budget']));
  for (const on of rule.at('retry').at('on').items()) {
    reportValues(report, on, ['gateway-error', '5xx', 'per-try-timeout']);
  }
  for (const [owner, key] of [
    [rule.at('retry'), 'nonIdempotent'],
    ...rule
      .at('backends')
      .items()
      .map((backend) => [backend, 'fallback'] as const),
  ] as const) {
    if (owner.at(key).value === true) reportKeys(report, owner.present([key]));
  }
}

function reportKeys(report: Report, cursors: readonly Cursor[], why?: string): void {
  for (const cursor of cursors) {
    const message = `\`${cursor.path.at(-1)}\` is not supported yet${why === undefined ? '' : `: ${why}`}`;
    report(cursor, { code: 'NOT_SUPPORTED_YET', message }, { target: 'key' });
  }
}

function reportValues(report: Report, cursor: Cursor, values: readonly string[]): void {
  if (cursor.text === undefined || !values.includes(cursor.text)) return;
  const key = cursor.path.findLast((part) => typeof part === 'string');
  report(cursor, { code: 'NOT_SUPPORTED_YET', message: `\`${key}: ${cursor.text}\` is not supported yet` });
}
