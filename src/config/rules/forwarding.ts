// What listeners forward below HTTP: each protocol has what it needs and nothing that it would not look at, and bytes
// that nobody has read go only to services that take such.

import type { Cursor } from '../cursor.js';
import { isServerFirst } from '../defaults.js';
import { parseSocketAddress } from '../format/address.js';
import { toComparableHostname } from '../format/hostname.js';
import { checkBackends, isMutual, kindOf, type Report, type RuleContext, reportNoEffect } from './rule.js';

/** Keys that mean something only where requests are read. */
const REQUEST_KEYS = ['forwardIdentity', 'headers', 'encodedSlash', 'pathParameters', 'upgrade', 'connect'];
const REQUEST_LIMITS = ['headerBytes', 'headerFields', 'bodyBytesPerSecond', 'idleTimeout', 'bodyBytes'];

/** Reports what is wrong with where a listener forwards connections to. */
export function forwardingRules(context: RuleContext, listener: Cursor): void {
  const { report } = context;
  checkBackends(context, listener.at('backends'), 'connections');
  for (const route of listener.at('routes').items())
    checkBackends(context, route.at('backends'), 'connections');
  checkHostnames(report, listener);
  const kind = kindOf(listener);
  if (kind === 'admin' || kind === 'probes') return;
  const protocol = listener.at('protocol').text;
  if (protocol === 'tcp') checkTcp(report, listener);
  else if (protocol === 'tls-passthrough') checkPassthrough(report, listener);
  else if (protocol === 'auto') checkAuto(report, listener);
  else {
    const why = 'an http listener follows the `routes` at the top of the file';
    reportNoEffect(report, listener.present(['backends', 'routes', 'timeouts']), { why });
  }
  if (protocol === 'http2')
    reportNoEffect(report, listener.at('tls').present(['alpn']), { why: 'an http2 listener offers h2 only' });
  if (kind === 'tcp') checkRequestKeys(report, listener);
}

function checkTcp(report: Report, listener: Cursor): void {
  const why = 'a tcp listener sends everything to its `backends`';
  const hint = '`protocol: tls-passthrough` goes by the name that is asked for';
  reportNoEffect(report, listener.present(['routes']), { why, hint });
  if (!listener.at('backends').exists) {
    const problem = {
      code: 'MISSING_KEY',
      message: 'a tcp listener needs `backends`',
      hint: 'backends: [{ service: NAME }]',
    } as const;
    report(listener, problem, { target: 'key' });
  }
  reportNoEffect(report, listener.at('tls').present(['alpn']), {
    why: 'a tcp listener does not know what is spoken inside TLS',
  });
}

function checkPassthrough(report: Report, listener: Cursor): void {
  const why = 'a tls-passthrough listener goes by the names in its `routes`';
  reportNoEffect(report, listener.present(['backends']), { why });
  if (!listener.at('routes').exists || listener.at('routes').items().length === 0) {
    const problem = {
      code: 'MISSING_KEY',
      message: 'a tls-passthrough listener needs `routes`',
      hint: 'routes: [{ hostnames: [NAME], backends: [{ service: NAME }] }]',
    } as const;
    report(listener, problem, { target: 'key' });
  }
  for (const tls of listener.present(['tls'])) {
    const message = 'what is passed through is not opened: it takes no `tls`';
    const hint = '`protocol: tcp` with `tls` opens it';
    report(tls, { code: 'CONFLICT', message, hint }, { target: 'key' });
  }
}

function checkAuto(report: Report, listener: Cursor): void {
  const routes = listener.present(['routes']);
  if (isMutual(listener)) {
    const why = 'TLS that is passed through unopened proves no identity, and this listener asks for one';
    reportNoEffect(report, routes, { why });
  }
  const { text } = listener.at('address');
  const parsed = text === undefined ? undefined : parseSocketAddress(text);
  if (parsed?.ok !== true || !isServerFirst(parsed.value.port)) return;
  const why = `on port ${parsed.value.port} servers speak first, so nothing is looked at`;
  const hint = '`protocol: tcp` says the same and takes `tls`';
  reportNoEffect(report, [...routes, ...listener.present(['tls'])], { why, hint });
  if (listener.at('backends').exists) return;
  const message = `${why}: the listener needs \`backends\``;
  report(listener, { code: 'MISSING_KEY', message }, { target: 'key' });
}

function checkRequestKeys(report: Report, listener: Cursor): void {
  const written = [...listener.present(REQUEST_KEYS), ...listener.at('limits').present(REQUEST_LIMITS)];
  const why = `no requests are read with \`protocol: ${listener.at('protocol').text}\``;
  reportNoEffect(report, written, { why });
}

/** A name leads to one place. */
function checkHostnames(report: Report, listener: Cursor): void {
  const seen = new Set<string>();
  for (const cursor of listener
    .at('routes')
    .items()
    .flatMap((route) => route.at('hostnames').items())) {
    if (cursor.text === undefined) continue;
    const name = toComparableHostname(cursor.text);
    if (seen.has(name)) {
      report(cursor, { code: 'DUPLICATE_NAME', message: `the name \`${name}\` is there already` });
    }
    seen.add(name);
  }
}
