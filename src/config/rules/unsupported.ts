// What the language knows and this version does not build yet: refused, never silently left out. A part that gets
// built loses its line here.

import type { Cursor } from '../cursor.js';
import { kindOf, type Report, type RuleContext } from './rule.js';

const MESH = 'it belongs to a mesh, which comes with `tulle control`';

/** Reports each use of what is not built yet, once. */
export function unsupportedRules({ root, report }: RuleContext): void {
  for (const [, listener] of root.at('listeners').entries()) checkListener(report, listener);
  for (const route of root.at('routes').items()) reportKeys(report, route.present(['service']), MESH);
  for (const policy of root.at('authorization').items())
    reportKeys(report, policy.present(['service']), MESH);
}

function checkListener(report: Report, listener: Cursor): void {
  const kind = kindOf(listener);
  if (kind === 'admin' || kind === 'probes')
    reportKeys(report, listener.present(['tls']), `the listener is \`${kind}\``);
}

function reportKeys(report: Report, cursors: readonly Cursor[], why: string): void {
  for (const cursor of cursors) {
    const message = `\`${cursor.path.at(-1)}\` is not supported yet: ${why}`;
    report(cursor, { code: 'NOT_SUPPORTED_YET', message }, { target: 'key' });
  }
}
