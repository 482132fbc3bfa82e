// Routes: names that exist, rules that lead somewhere, conditions and changes that fit together.

import type { Cursor } from '../cursor.js';
import {
  checkBackends,
  checkListeners,
  kindOf,
  type Report,
  type RuleContext,
  reportDuplicates,
  reportNoEffect,
  reportSameHeader,
  reportUnlessOne,
} from './rule.js';
import { trafficRules } from './traffic.js';

const FILTERS = ['requestHeaders', 'responseHeaders', 'rewrite', 'redirect', 'mirror', 'fault', 'rateLimit'];

/** Reports what is wrong with routes. */
export function routeRules(context: RuleContext): void {
  const { root, report } = context;
  const routes = root.at('routes').items();
  reportDuplicates(
    report,
    routes.map((route) => route.at('name')),
    'a route named',
  );
  const listeners = root
    .at('listeners')
    .entries()
    .map(([, listener]) => listener);
  if (
    routes.length > 0 &&
    listeners.length > 0 &&
    !listeners.some((listener) => kindOf(listener) === 'http')
  ) {
    const problem = {
      code: 'NEVER_FITS',
      message: 'no listener takes requests: the routes are without effect',
    } as const;
    report(root.at('routes'), problem, { target: 'key', severity: 'warning' });
  }
  for (const route of routes) {
    checkListeners(context, route.at('listeners'), 'routes');
    reportDuplicates(report, route.at('hostnames').items(), 'the host');
    for (const rule of route.at('rules').items()) checkRule(context, rule);
  }
}

function checkRule(context: RuleContext, rule: Cursor): void {
  const { report } = context;
  const filters = rule.at('filters').items();
  const redirect = filters.map((filter) => filter.at('redirect')).find(({ exists }) => exists);
  const backends = rule.at('backends');
  if (redirect === undefined && !backends.exists && rule.isMap) {
    report(rule, { code: 'NO_BACKENDS', message: 'the rule has neither `backends` nor a `redirect`' });
  }
  if (redirect !== undefined && backends.exists) {
    const message = 'a rule that redirects sends nothing to `backends`';
    report(backends, { code: 'REDIRECT_AND_BACKENDS', message, hint: 'keep one of them' }, { target: 'key' });
  }
  checkBackends(context, backends);
  for (const match of rule.at('matches').items()) {
    reportUnlessOne(report, match.at('path'), ['exact', 'prefix', 'regex']);
    reportSameHeader(report, match.at('headers'));
  }
  if (redirect !== undefined) {
    const times = rule.at('timeouts').present(['request', 'perTry']);
    reportNoEffect(report, [...rule.present(['sticky', 'retry', 'priority']), ...times], {
      why: 'the rule redirects, nothing is sent on',
    });
  }
  checkFilters(context, rule, redirect);
  trafficRules(context, rule);
}

function checkFilters(context: RuleContext, rule: Cursor, redirect: Cursor | undefined): void {
  const { report } = context;
  const seen = new Set<string>();
  for (const filter of rule.at('filters').items()) {
    reportUnlessOne(report, filter, FILTERS);
    for (const [kind, cursor] of filter.entries()) {
      if (seen.has(kind))
        report(cursor, { code: 'CONFLICT', message: `the rule has \`${kind}\` twice` }, { target: 'key' });
      seen.add(kind);
    }
    for (const edits of filter.present(['requestHeaders', 'responseHeaders'])) {
      reportSameHeader(report, edits.at('set'));
      reportSameHeader(report, edits.at('add'));
    }
    checkRewrite(report, rule, filter.at('rewrite'));
    checkRedirect(report, rule, filter.at('redirect'));
    if (redirect !== undefined) {
      reportNoEffect(report, filter.present(['rewrite', 'requestHeaders', 'mirror', 'fault']), {
        why: 'the rule redirects, nothing is sent on',
      });
    }
  }
}

function checkRewrite(report: Report, rule: Cursor, rewrite: Cursor): void {
  if (rewrite.isMap && rewrite.entries().length === 0) {
    report(rewrite, { code: 'MISSING_KEY', message: 'a `rewrite` needs `path` or `host`' });
  }
  checkPathEdit(report, rule, rewrite.at('path'));
}

function checkRedirect(report: Report, rule: Cursor, redirect: Cursor): void {
  if (!redirect.isMap) return;
  if (redirect.present(['scheme', 'host', 'port', 'path']).length === 0) {
    report(redirect, {
      code: 'MISSING_KEY',
      message: 'a `redirect` needs `scheme`, `host`, `port` or `path`: this one would lead to itself',
    });
  }
  checkPathEdit(report, rule, redirect.at('path'));
}

function checkPathEdit(report: Report, rule: Cursor, edit: Cursor): void {
  if (!edit.exists || edit.text !== undefined) return;
  reportUnlessOne(report, edit, ['full', 'replacePrefix']);
  const replace = edit.at('replacePrefix');
  if (!replace.exists) return;
  const matches = rule.at('matches').items();
  if (matches.length > 0 && matches.every((match) => match.at('path').at('prefix').exists)) return;
  report(
    replace,
    {
      code: 'CONFLICT',
      message: '`replacePrefix` needs a `prefix` in every match of the rule',
      hint: matches.length === 0 ? 'matches: [{ path: { prefix: / } }]' : 'use `full` for the whole path',
    },
    { target: 'key' },
  );
}
