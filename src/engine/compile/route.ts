// Compiles a route: the listeners it applies to, its hosts as they are compared, its rules with names as indices.

import { toAuthority, toComparableHostname } from '../../config/format/hostname.js';
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
import { compileOptionalKey } from './key.js';
import { required, type Scope, toIndices } from './scope.js';
import { compileFault, compileMirror, compileRateLimit, compileRetry } from './traffic.js';

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
    perTryTimeoutMs: rule.timeouts.perTry ?? 0,
    retry: compileRetry(rule.retry),
    rateLimit: filters.rateLimit === undefined ? null : compileRateLimit(filters.rateLimit),
    fault: filters.fault === undefined ? null : compileFault(filters.fault),
    mirror: filters.mirror === undefined ? null : compileMirror(filters.mirror, scope),
    priority: rule.priority,
    sticky: compileOptionalKey(rule.sticky),
    backends: (rule.backends ?? []).map((backend) => compileBackend(backend, scope)),
  };
}

function compileMatch(match: CheckedMatch): Match {
  return {
    path: match.path === undefined ? null : compilePathMatch(match.path),
    method: match.method ?? null,
    headers: Object.entries(match.headers).map(([name, value]) => ({ name: name.toLowerCase(), value })),
    query: Object.entries(match.query).map(([name, value]) => ({ name, value })),
    cookies: Object.entries(match.cookies).map(([name, value]) => ({ name, value })),
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
    host: host === undefined ? null : toAuthority(host),
  };
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
export function compileBackend({ service, subset, weight, fallback }: CheckedBackend, scope: Scope): Backend {
  return {
    service: scope.service(service),
    subset: subset === undefined ? null : scope.subset(service, subset),
    weight,
    fallback,
  };
}
