// The look-up behind dns.ts: the hosts file first, then the name servers (which give a TTL), then the system.
// In: a host name. Out: its addresses and how long they hold. IPv4 where there is any, else IPv6: never both, so that
// a machine without one of the two does not try addresses it cannot reach.

import { lookup, Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import type { DnsAnswer } from './dns.js';

/** How long an answer without a TTL holds: the system's (hosts file, search domains) tells none. */
const SYSTEM_TTL_MS = 30_000;

/** One address and the seconds it holds, as node:dns gives it. */
interface TimedAddress {
  readonly address: string;
  readonly ttl: number;
}

/** The three places that are asked. */
export interface LookupSources {
  /** The text of the hosts file; empty where there is none. */
  readonly hosts: () => Promise<string>;
  /** The name servers, for one family; rejects where there is no answer. */
  readonly servers: (name: string, family: 4 | 6) => Promise<readonly TimedAddress[]>;
  /** `getaddrinfo`. */
  readonly system: (name: string) => Promise<readonly { address: string; family: number }[]>;
}

/** The machine's own hosts file, name servers and `getaddrinfo`. */
export function createSystemSources(): LookupSources {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  return {
    hosts: () => readFile('/etc/hosts', 'utf8').catch(() => ''),
    servers: (name, family) =>
      family === 4 ? resolver.resolve4(name, { ttl: true }) : resolver.resolve6(name, { ttl: true }),
    system: (name) => lookup(name, { all: true }),
  };
}

/** Makes the `lookup` of a DNS watch. */
export function createLookup(sources: LookupSources): (name: string) => Promise<DnsAnswer> {
  return async (name) => {
    if (!isInHosts(await sources.hosts(), name)) {
      const answer = await askServers(sources, name);
      if (answer !== undefined) return answer;
    }
    const all = await sources.system(name);
    const v4 = all.filter(({ family }) => family === 4);
    return { addresses: (v4.length > 0 ? v4 : all).map(({ address }) => address), ttlMs: SYSTEM_TTL_MS };
  };
}

async function askServers(sources: LookupSources, name: string): Promise<DnsAnswer | undefined> {
  const families = [4, 6] as const;
  const answers = await Promise.allSettled(families.map((family) => sources.servers(name, family)));
  for (const answer of answers) {
    if (answer.status !== 'fulfilled' || answer.value.length === 0) continue;
    return {
      addresses: answer.value.map(({ address }) => address),
      ttlMs: Math.min(...answer.value.map(({ ttl }) => ttl)) * 1000,
    };
  }
  return undefined;
}

/** Whether a hosts file names this host (hosts(5): address, names, `#` begins a comment). */
export function isInHosts(hosts: string, name: string): boolean {
  const wanted = name.toLowerCase().replace(/\.$/, '');
  return hosts.split('\n').some((line) => {
    const [, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    return names.some((found) => found.toLowerCase() === wanted);
  });
}
