// Addresses as people write them: `ip:port`, `host:port`, `unix:/path`.
// In: the text. Out: its parts, or the problem with it.

import { isIPv4, isIPv6 } from 'node:net';
import type { Problem } from '../diagnostic.js';
import { checkHostname } from './hostname.js';

/** An IP address and a port. The IP is in its canonical form, without brackets. */
export interface SocketAddress {
  readonly ip: string;
  readonly port: number;
}

/** What an endpoint's text means. */
export type EndpointTarget =
  | { readonly kind: 'tcp'; readonly address: string }
  | { readonly kind: 'dns'; readonly name: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

const bad = (message: string, hint?: string): { ok: false; problem: Problem } => ({
  ok: false,
  problem: { code: 'BAD_ADDRESS', message, ...(hint === undefined ? {} : { hint }) },
});

/** Reads the `ip:port` of a listener; IPv6 in brackets; port 0 takes a free one. */
export function parseSocketAddress(text: string): Parsed<SocketAddress> {
  if (text.startsWith('unix:')) return bad('listeners take IP addresses, not Unix sockets');
  const parts = splitPort(text);
  if (!parts.ok) return parts;
  const { host, port } = parts.value;
  if (host === '' || host === '*') {
    return bad(
      `\`${text}\` has no IP address`,
      `write 0.0.0.0:${port} for every IPv4 address, [::]:${port} for IPv6 too`,
    );
  }
  const ip = canonicalIp(host);
  if (ip !== undefined) return { ok: true, value: { ip, port } };
  return bad(
    `\`${host}\` is not an IP address`,
    host === 'localhost' ? `write 127.0.0.1:${port}` : 'write IP:PORT',
  );
}

/** Reads `host:port`, where the host is an IP address or a name, or `unix:PATH`. Port 0 is refused. */
export function parseEndpoint(text: string): Parsed<EndpointTarget> {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    if (path === '' || path.includes('\0')) return bad('`unix:` needs the path of a socket');
    return { ok: true, value: { kind: 'unix', path } };
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    return bad('this is a URL', "write HOST:PORT; TLS is chosen by the service's `tls`");
  }
  const parts = splitPort(text);
  if (!parts.ok) return parts;
  const { host, port } = parts.value;
  if (port === 0) return bad('port 0 cannot be connected to');
  const ip = canonicalIp(host);
  if (ip !== undefined) return { ok: true, value: { kind: 'tcp', address: toAddressText({ ip, port }) } };
  return parseDnsHost(host, port);
}

/** Reads the `name:port` of a `dns` endpoint. */
export function parseDnsEndpoint(text: string): Parsed<EndpointTarget> {
  const parsed = parseEndpoint(text);
  if (!parsed.ok || parsed.value.kind === 'dns') return parsed;
  return bad(`\`${text}\` is not a name to look up`, 'use `address` for IP addresses and Unix sockets');
}

/** `127.0.0.1:80` or `[::1]:80`. */
export function toAddressText({ ip, port }: SocketAddress): string {
  return isIPv6(ip) ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** 127.0.0.0/8 and ::1. */
export function isLoopback(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1';
}

function parseDnsHost(host: string, port: number): Parsed<EndpointTarget> {
  const problem = checkHostname(host, 'plain');
  if (problem !== undefined) return bad(problem.message, problem.hint);
  if (/(^|\.)[0-9]+\.?$/.test(host)) return bad(`\`${host}\` is neither an IPv4 address nor a name`);
  return { ok: true, value: { kind: 'dns', name: host.toLowerCase().replace(/\.$/, ''), port } };
}

function splitPort(text: string): Parsed<{ host: string; port: number }> {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, Math.max(colon, 0));
  const portText = text.slice(colon + 1);
  if (colon < 0) {
    return /^\d+$/.test(text)
      ? bad(`\`${text}\` has no IP address`, `write 127.0.0.1:${text}`)
      : bad(`\`${text}\` has no port`, `write ${text === '' ? 'HOST' : text}:PORT`);
  }
  if (isIPv6(text) || (host.includes(':') && !host.startsWith('['))) {
    return bad(`\`${text}\` needs brackets around the IPv6 address`, 'write [ADDRESS]:PORT');
  }
  if (!/^(0|[1-9]\d{0,4})$/.test(portText) || Number(portText) > 65_535) {
    return bad(`\`${portText}\` is not a port`, 'a port is a number from 0 to 65535');
  }
  return { ok: true, value: { host, port: Number(portText) } };
}

/** The one way to write an IP address, or undefined where the text is none (brackets belong to IPv6). */
export function canonicalIp(host: string): string | undefined {
  if (isIPv4(host)) return host;
  const inner = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : '';
  if (!isIPv6(inner) || inner.includes('%')) return undefined;
  return new URL(`http://[${inner}]/`).hostname.slice(1, -1);
}
