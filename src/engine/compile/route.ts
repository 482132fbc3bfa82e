// Compiles a route: the listeners it applies to, its hosts as they are compared, its rules with names as indices.

import { splitAuthority, toComparableHostname } from '../../config/format/hostname.js';
import type { CheckedBackend } from '../../config/schema/backend.js';
import type { CheckedFilter, CheckedHeaderEdits, CheckedPathEdit } from '../../config/schema/filter.js';
import type { CheckedMatch, CheckedPathMatch } from '../../config/schema/match.js';
import type { CheckedRoute, CheckedRule } from '../../config/schema/route.js';
import type {
  Backend,
  HeaderEdit,
  HeaderEdits,
  Match,
  PathEdit,
  PathMatch,
  Redirect,
  Rewrite,
  Route,
  Rule,
} from '../snapshot.generated.js';
import { required, type Scope, toIndices } from './scope.js';

/** Compiles one entry of `routes`. */
export function compileRoute(route: CheckedRoute, scope: Scope): Route {
  return {
    name: route.name,
    listeners: toIndices(route.listeners?.map(scope.listener) ?? scope.routedListeners),
    hostnames: [...new Set((route.hostnames ?? []).map(toComparableHostname))],
    rules: route.rules.map((rule) => compileRule(rule, scope)),
  };
}

/** Compiles a condition on the path. `/v1/` and `/v1` are the same prefix: the shorter is taken. */
export function compilePathMatch({ exact, prefix, regex }: CheckedPathMatch): PathMatch {
  if (exact !== undefined) return { kind: 'exact', value: exact };
  if (prefix !== undefined) return { kind: 'prefix', value: prefix.replace(/(?<=.)\/$/, '') };
  return { kind: 'regex', value: required(regex, 'a path condition') };
}

function compileRule(rule: CheckedRule, scope: Scope): Rule {
  const filters: CheckedFilter = Object.assign({}, ...rule.filters);
  return {
    matches: rule.matches.map(compileMatch),
    requestHeaders: compileEdits(filters.requestHeaders),
    responseHeaders: compileEdits(filters.responseHeaders),
    rewrite: filters.rewrite === undefined ? null : compileRewrite(filters.rewrite),
    redirect: filters.redirect === undefined ? null : compileRedirect(filters.redirect),
    requestTimeoutMs: rule.timeouts.request,
    streamIdleTimeoutMs: rule.timeouts.streamIdle,
    perTryTimeoutMs: 0,
    retry: {
      attempts: rule.retry.attempts,
      on: [...new Set(rule.retry.on)],
      statuses: [],
      backoffBaseMs: 25,
      backoffMaxMs: 250,
      budget: { percent: 20, minPerSecond: 10 },
      nonIdempotent: false,
      hedge: null,
    },
    rateLimit: null,
    fault: null,
    mirror: null,
    priority: 'normal',
    sticky: null,
    backends: (rule.backends ?? []).map((backend) => compileBackend(backend, scope)),
  };
}

function compileMatch(match: CheckedMatch): Match {
  return {
    path: match.path === undefined ? null : compilePathMatch(match.path),
    method: match.method ?? null,
    headers: Object.entries(match.headers).map(([name, value]) => ({ name: name.toLowerCase(), value })),
    query: Object.entries(match.query).map(([name, value]) => ({ name, value })),
    cookies: [],
  };
}

function compileEdits(edits: CheckedHeaderEdits | undefined): HeaderEdits {
  return {
    remove: [...new Set((edits?.remove ?? []).map((name) => name.toLowerCase()))],
    set: toFields(edits?.set),
    add: toFields(edits?.add),
  };
}

function toFields(fields: Readonly<Record<string, string>> = {}): HeaderEdit[] {
  return Object.entries(fields).map(([name, value]) => ({ name, value }));
}

function compileRewrite({ path, host }: NonNullable<CheckedFilter['rewrite']>): Rewrite {
  return {
    path: path === undefined ? null : compilePathEdit(path),
    host: host === undefined ? null : compileAuthority(host),
  };
}

function compileAuthority(text: string): string {
  const { host, port } = splitAuthority(text);
  return `${toComparableHostname(host)}${port}`;
}

function compileRedirect(redirect: NonNullable<CheckedFilter['redirect']>): Redirect {
  return {
    status: redirect.status,
    scheme: redirect.scheme ?? null,
    host: redirect.host === undefined ? null : toComparableHostname(redirect.host),
    port: redirect.port ?? null,
    path: redirect.path === undefined ? null : compilePathEdit(redirect.path),
  };
}

function compilePathEdit(edit: CheckedPathEdit): PathEdit {
  if (typeof edit === 'string') return { kind: 'full', value: edit };
  if (edit.full !== undefined) return { kind: 'full', value: edit.full };
  return { kind: 'replace-prefix', value: required(edit.replacePrefix, 'a path edit') };
}

/** Compiles one entry of `backends`. */
export function compileBackend({ service, subset, weight }: CheckedBackend, scope: Scope): Backend {
  return {
    service: scope.service(service),
    subset: subset === undefined ? null : scope.subset(service, subset),
    weight,
    fallback: false,
  };
}
