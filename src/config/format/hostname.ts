// Host names (RFC 1123, underscores allowed as in service discovery), with or without a leading wildcard.
// In: the text. Out: the problem with it, or nothing.

import { isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import type { Problem } from '../diagnostic.js';

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i;

/** Checks one host name; `wildcard` also takes `*.name`. */
export function checkHostname(text: string, kind: 'plain' | 'wildcard'): Problem | undefined {
  const bad = (message: string, hint?: string): Problem => ({
    code: 'BAD_HOSTNAME',
    message,
    ...(hint === undefined ? {} : { hint }),
  });
  if (text === '') return bad('a host name is empty');
  if (text === '*') return bad('`*` alone is not a host name', 'leave `hostnames` out to take every host');
  if (text.includes('://')) return bad(`\`${text}\` is a URL`, 'write the host name alone');
  if (text.startsWith('[') && text.endsWith(']') && !text.includes('%') && isIPv6(text.slice(1, -1)))
    return undefined;
  if (/:\d*$/.test(text)) return bad(`\`${text}\` has a port`, 'hosts are compared without their port');
  if (/[^\0-\x7f]/.test(text)) {
    const ascii = domainToASCII(text);
    return bad(`\`${text}\` is not in its ASCII form`, ascii === '' ? undefined : `write ${ascii}`);
  }
  const name = text.replace(/\.$/, '');
  const labels = name.split('.');
  if (labels[0] === '*' && kind === 'wildcard') labels.shift();
  if (labels.some((label) => label.includes('*'))) {
    return bad(
      `\`${text}\` has a wildcard where none can be`,
      kind === 'wildcard' ? 'a wildcard is a whole first label: *.example.com' : undefined,
    );
  }
  if (name.length > 253 || !labels.every((label) => LABEL.test(label)))
    return bad(`\`${text}\` is not a host name`);
  return undefined;
}

/** As hosts are compared: lower case, without a final dot, IPv6 in its canonical form. */
export function toComparableHostname(text: string): string {
  if (text.startsWith('[')) return new URL(`http://${text}/`).hostname;
  return text.toLowerCase().replace(/\.$/, '');
}

/** A host and the `:port` behind it; the port is empty where there is none from 1 to 65535. */
export function splitAuthority(text: string): { host: string; port: string } {
  const port = /:([1-9]\d{0,4})$/.exec(text);
  if (port === null || Number(port[1]) > 65_535) return { host: text, port: '' };
  return { host: text.slice(0, port.index), port: port[0] };
}

/** A host as it is sent, with its port where it has one. */
export function toAuthority(text: string): string {
  const { host, port } = splitAuthority(text);
  return `${toComparableHostname(host)}${port}`;
}
