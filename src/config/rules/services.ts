// Services: endpoints that say one address each, subsets that choose something, TLS that has what its mode needs.

import path from 'node:path';
import type { Cursor } from '../cursor.js';
import { parseEndpoint } from '../format/address.js';
import { trustDomainOf } from '../format/spiffe.js';
import { balancingRules } from './balancing.js';
import { resilienceRules } from './resilience.js';
import {
  hasLabels,
  type Report,
  type RuleContext,
  reportNoEffect,
  reportNoLabels,
  reportUnlessOne,
} from './rule.js';

/** `sun_path` of Linux, without its final NUL. */
const MAX_UNIX_PATH = 107;

/** Reports what is wrong with services. */
export function serviceRules(context: RuleContext): void {
  const { root, source, report } = context;
  for (const [, service] of root.at('services').entries()) {
    const endpoints = service.at('endpoints');
    for (const endpoint of endpoints.items()) checkEndpoint(report, endpoint, source.baseDir);
    if (Array.isArray(endpoints.value) && endpoints.value.length === 0) {
      const problem = {
        code: 'NO_ENDPOINTS',
        message: 'there are no endpoints: every request would get 503',
        hint: 'endpoints: ["HOST:PORT"]',
      } as const;
      report(endpoints, problem, { severity: 'warning' });
    }
    checkSubsets(report, service);
    checkTls(report, service);
    checkProtocol(report, service);
    balancingRules(context, service);
    resilienceRules(report, service);
  }
}

function checkProtocol(report: Report, service: Cursor): void {
  if (service.at('protocol').text === 'tcp') {
    const why = 'a connection to a tcp service serves one client, and is not kept';
    reportNoEffect(report, service.present(['pool']), { why });
    return;
  }
  for (const header of service.present(['sendProxyProtocol'])) {
    const message =
      'a connection to this service carries requests of several clients, and the header names one';
    const hint = '`x-forwarded-for` names the client of a request; or say `protocol: tcp`';
    report(header, { code: 'CONFLICT', message, hint }, { target: 'key' });
  }
}

function checkEndpoint(report: Report, endpoint: Cursor, baseDir: string): void {
  reportUnlessOne(report, endpoint, ['address', 'dns']);
  const cursor = endpoint.text === undefined ? endpoint.at('address') : endpoint;
  const parsed = cursor.text === undefined ? undefined : parseEndpoint(cursor.text);
  if (parsed?.ok !== true || parsed.value.kind !== 'unix') return;
  if (Buffer.byteLength(path.resolve(baseDir, parsed.value.path)) > MAX_UNIX_PATH) {
    report(cursor, {
      code: 'BAD_ADDRESS',
      message: `the whole path of a Unix socket has at most ${MAX_UNIX_PATH} bytes`,
    });
  }
}

function checkSubsets(report: Report, service: Cursor): void {
  for (const [name, subset] of service.at('subsets').entries()) {
    reportNoLabels(report, subset, `the subset \`${name}\``);
    if (subset.entries().length === 0) continue;
    if (
      service
        .at('endpoints')
        .items()
        .some((endpoint) => hasLabels(endpoint, subset))
    )
      continue;
    const problem = {
      code: 'NO_ENDPOINTS',
      message: `no endpoint has the labels of the subset \`${name}\`: its requests would get 503`,
      hint: 'beside the address of an endpoint: labels: { … }',
    } as const;
    report(subset, problem, { target: 'key', severity: 'warning' });
  }
}

function checkTls(report: Report, service: Cursor): void {
  const tls = service.at('tls');
  if (!tls.isMap) return;
  if (tls.at('mode').value === 'mutual') {
    checkMutual(report, tls);
    return;
  }
  const mutualOnly = tls.present(['expect', 'trustDomain', 'crl']);
  reportNoEffect(report, mutualOnly, { why: 'the mode is simple', hint: 'add `mode: mutual`' });
  const isUnix = (endpoint: Cursor) =>
    (endpoint.text ?? endpoint.at('address').text)?.startsWith('unix:') === true;
  if (!tls.at('serverName').exists && service.at('endpoints').items().some(isUnix)) {
    const message = 'TLS over a Unix socket needs `serverName`: there is no host to verify';
    report(tls, { code: 'MISSING_KEY', message }, { target: 'key' });
  }
}

function checkMutual(report: Report, tls: Cursor): void {
  for (const key of ['identity', 'trustBundle']) {
    if (!tls.at(key).exists) {
      report(tls, { code: 'MISSING_KEY', message: `mutual TLS needs \`${key}\`` }, { target: 'key' });
    }
  }
  if (!tls.at('expect').exists) {
    report(
      tls,
      {
        code: 'MUTUAL_WITHOUT_EXPECT',
        message: 'mutual TLS without `expect` would take any workload for this service',
        hint: 'expect: ["spiffe://DOMAIN/ns/NAMESPACE/sa/NAME"]',
      },
      { target: 'key' },
    );
  }
  reportNoEffect(report, tls.present(['serverName']), { why: 'the SPIFFE ID is verified, not the DNS name' });
  const domain = tls.at('trustDomain').text;
  for (const expected of tls.at('expect').items()) {
    if (domain === undefined || expected.text === undefined || trustDomainOf(expected.text) === domain)
      continue;
    report(expected, {
      code: 'BAD_SPIFFE_ID',
      message: `the ID is not of the trust domain \`${domain}\`: it can never fit`,
    });
  }
}
