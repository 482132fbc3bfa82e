// Listeners: addresses that can be bound, kinds that do not contradict themselves, TLS that has what its mode needs.

import type { Cursor } from '../cursor.js';
import { isLoopback, parseSocketAddress, type SocketAddress } from '../format/address.js';
import { forwardingRules } from './forwarding.js';
import { isMutual, kindOf, type Report, type RuleContext, reportNoEffect } from './rule.js';

/** Keys that mean something only where requests are routed. */
const TRAFFIC_KEYS = [
  'protocol',
  'forwardIdentity',
  'headers',
  'encodedSlash',
  'pathParameters',
  'upgrade',
  'connect',
  'backends',
  'routes',
  'timeouts',
  'proxyProtocol',
];

/** Reports what is wrong with listeners. */
export function listenerRules(context: RuleContext): void {
  const { root, report } = context;
  const listeners = root
    .at('listeners')
    .entries()
    .map(([, listener]) => listener);
  if (listeners.length === 0 && root.at('listeners').exists) {
    report(root.at('listeners'), {
      code: 'NO_LISTENERS',
      message: 'there are no listeners: nothing would be served',
    });
  }
  for (const listener of listeners) {
    checkKind(report, listener);
    checkTls(report, listener);
    forwardingRules(context, listener);
  }
  checkPorts(report, listeners);
}

function checkKind(report: Report, listener: Cursor): void {
  const kind = kindOf(listener);
  const { value: address } = listener.at('address');
  const parsed = typeof address === 'string' ? parseSocketAddress(address) : undefined;
  if (kind === 'admin' && listener.at('probes').value === true) {
    report(
      listener.at('probes'),
      { code: 'CONFLICT', message: 'a listener is either `admin` or `probes`' },
      { target: 'key' },
    );
  }
  if (kind === 'admin' && parsed?.ok === true && !isLoopback(parsed.value.ip)) {
    report(listener.at('address'), {
      code: 'ADMIN_NOT_LOOPBACK',
      message: `an admin listener binds loopback only, not ${parsed.value.ip}`,
      hint: `write 127.0.0.1:${parsed.value.port}, or use \`probes: true\` for what others may see`,
    });
  }
  if (kind === 'admin' || kind === 'probes') {
    reportNoEffect(report, listener.present(TRAFFIC_KEYS), { why: `the listener is \`${kind}\`` });
  } else if (kind === 'http' && listener.at('forwardIdentity').value === true && !isMutual(listener)) {
    const why = 'clients of this listener show no certificate';
    reportNoEffect(report, [listener.at('forwardIdentity')], {
      why,
      hint: 'it needs `tls: { mode: mutual }`',
    });
  }
}

function checkTls(report: Report, listener: Cursor): void {
  const tls = listener.at('tls');
  if (!tls.isMap) return;
  if (!isMutual(listener)) {
    if (!tls.at('certificates').exists || tls.at('certificates').items().length === 0) {
      const message = 'TLS needs `certificates`';
      report(
        tls,
        { code: 'MISSING_KEY', message, hint: 'certificates: [{ cert: FILE, key: FILE }]' },
        { target: 'key' },
      );
    }
    const mutualOnly = tls.present(['identity', 'trustBundle', 'trustDomain', 'crl']);
    reportNoEffect(report, mutualOnly, { why: 'clients show no certificate', hint: 'add `mode: mutual`' });
    return;
  }
  for (const key of ['identity', 'trustBundle']) {
    if (!tls.at(key).exists) {
      report(tls, { code: 'MISSING_KEY', message: `mutual TLS needs \`${key}\`` }, { target: 'key' });
    }
  }
  if (tls.at('certificates').exists) {
    const message = 'mutual TLS has one certificate, the `identity`';
    report(tls.at('certificates'), { code: 'CONFLICT', message }, { target: 'key' });
  }
  if (Number(tls.at('minVersion').value) === 1.2) {
    report(tls.at('minVersion'), { code: 'CONFLICT', message: 'mutual TLS is always 1.3' });
  }
}

function checkPorts(report: Report, listeners: readonly Cursor[]): void {
  const taken: { address: SocketAddress; name: string }[] = [];
  for (const listener of listeners) {
    const { text } = listener.at('address');
    const parsed = text === undefined ? undefined : parseSocketAddress(text);
    if (parsed?.ok !== true || parsed.value.port === 0) continue;
    const name = String(listener.path.at(-1));
    const other = taken.find(({ address }) => isOverlapping(address, parsed.value));
    if (other !== undefined) {
      report(listener.at('address'), {
        code: 'PORT_CONFLICT',
        message: `the listeners \`${other.name}\` and \`${name}\` want the same address`,
      });
    }
    taken.push({ address: parsed.value, name });
  }
}

/** Whether two sockets want the same packets; `[::]` takes IPv4 too. */
function isOverlapping(a: SocketAddress, b: SocketAddress): boolean {
  if (a.port !== b.port) return false;
  if (a.ip === b.ip || a.ip === '::' || b.ip === '::') return true;
  return (a.ip === '0.0.0.0' && !b.ip.includes(':')) || (b.ip === '0.0.0.0' && !a.ip.includes(':'));
}
