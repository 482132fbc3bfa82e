// Networks as people write them: `10.0.0.0/8`, or one address.
// In: the text. Out: address and prefix length, or the problem with it.

import { isIPv6 } from 'node:net';
import type { Problem } from '../diagnostic.js';
import { canonicalIp } from './address.js';

/** The addresses that share the first `bits` bits with `ip`. */
export interface Network {
  /** In its canonical form, no bit set beyond `bits`. */
  readonly ip: string;
  readonly bits: number;
}

type Parsed =
  | { readonly ok: true; readonly value: Network }
  | { readonly ok: false; readonly problem: Problem };

const bad = (message: string, hint: string): Parsed => ({
  ok: false,
  problem: { code: 'BAD_ADDRESS', message, hint },
});

/** Reads `ADDRESS/BITS`; a bare address is a network of its own. */
export function parseNetwork(text: string): Parsed {
  const [address = '', bitsText, ...rest] = text.split('/');
  const ip = canonicalIp(address.includes(':') ? `[${address}]` : address);
  if (ip === undefined || rest.length > 0) {
    return bad(
      `${JSON.stringify(text.slice(0, 80))} is not a network`,
      'such as 10.0.0.0/8 or 2001:db8::/32',
    );
  }
  const most = isIPv6(ip) ? 128 : 32;
  const bits = bitsText === undefined ? most : /^(0|[1-9]\d{0,2})$/.test(bitsText) ? Number(bitsText) : -1;
  if (bits < 0 || bits > most) {
    return bad(`\`/${bitsText}\` is not a prefix of ${ip}`, `a number from 0 to ${most}`);
  }
  const first = firstAddress(ip, bits);
  if (first !== ip) return bad(`\`${text}\` has bits set beyond its prefix`, `write ${first}/${bits}`);
  return { ok: true, value: { ip, bits } };
}

/** `10.0.0.0/8`. */
export function toNetworkText({ ip, bits }: Network): string {
  return `${ip}/${bits}`;
}

/** The network's first address. */
function firstAddress(ip: string, bits: number): string | undefined {
  const wide = isIPv6(ip);
  const [parts, width] = wide ? [groupsOf(ip), 16] : [ip.split('.').map(Number), 8];
  const kept = parts.map((part, index) => {
    const free = Math.min(Math.max((index + 1) * width - bits, 0), width);
    return part - (part % 2 ** free);
  });
  return canonicalIp(wide ? `[${kept.map((part) => part.toString(16)).join(':')}]` : kept.join('.'));
}

/** The eight groups of an IPv6 address in its canonical form. */
function groupsOf(ip: string): number[] {
  const [before = [], after] = ip.split('::').map((side) => (side === '' ? [] : side.split(':')));
  const zeros = after === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array<string>(zeros).fill('0'), ...(after ?? [])].map((group) =>
    Number.parseInt(group, 16),
  );
}
