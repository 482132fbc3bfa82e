// Keeps the addresses of `dns` endpoints current: looks each name up again when its answer has expired.
// In: the names of the running snapshot. Out: for every change, the addresses of all names, as `Engine.resolve` takes
// them. What a look-up costs, the clock and the randomness are passed in (dns-lookup.ts has the real look-up).

/** An endpoint given by name. */
export interface DnsName {
  readonly name: string;
  readonly port: number;
}

/** What a look-up found. */
export interface DnsAnswer {
  /** IP addresses; none counts as a failed look-up. */
  readonly addresses: readonly string[];
  /** How long the answer may be used. */
  readonly ttlMs: number;
}

/** Addresses by `name:port`, each `ip:port` with IPv6 in brackets. */
export type ResolvedNames = Readonly<Record<string, readonly string[]>>;

/** Everything outside: the network, time and chance, and who wants to know. */
export interface DnsOptions {
  readonly lookup: (name: string) => Promise<DnsAnswer>;
  /** Calls `run` after `ms`; the returned function takes that back. */
  readonly later: (run: () => void, ms: number) => () => void;
  /** From 0 to below 1. */
  readonly random: () => number;
  /** Called with the addresses of all names known so far, whenever one changed. */
  readonly onChange: (resolved: ResolvedNames) => void;
  /** Called for every failed look-up; the last good addresses stay in use. */
  readonly onFailure: (name: string, cause: unknown) => void;
}

/** A running re-resolution. */
export interface DnsWatch {
  /** Watches exactly these names from now on; resolves when each new one was answered or failed once. */
  watch(names: readonly DnsName[]): Promise<void>;
  /** What is known of the watched names; names without an answer so far are left out. */
  current(): ResolvedNames;
  /** Forgets all names and ends all timers. */
  stop(): void;
}

/** No answer is asked for again sooner than this, however short its TTL. */
export const TTL_FLOOR_MS = 1_000;
/** No answer is used longer than this, however long its TTL. */
export const TTL_CEILING_MS = 300_000;
/** After a failed look-up: doubled from the floor up to this. */
export const RETRY_CEILING_MS = 30_000;

interface Watched {
  ports: readonly number[];
  addresses: readonly string[];
  failures: number;
  cancel: () => void;
  first: Promise<void>;
}

/** Starts with no names. */
export function createDnsWatch(options: DnsOptions): DnsWatch {
  return new Watch(options);
}

/** How long until the next look-up: the TTL within its bounds, up to a tenth later so that look-ups spread. */
export function toRefreshMs(ttlMs: number, random: number): number {
  const bounded = Math.min(Math.max(ttlMs, TTL_FLOOR_MS), TTL_CEILING_MS);
  return Math.min(Math.round(bounded * (1 + random / 10)), TTL_CEILING_MS);
}

/** How long until a failed look-up is tried again: doubling, between half and all of it. */
export function toRetryMs(failures: number, random: number): number {
  const full = Math.min(TTL_FLOOR_MS * 2 ** Math.min(failures, 10), RETRY_CEILING_MS);
  return Math.round(full * (0.5 + random / 2));
}

class Watch implements DnsWatch {
  readonly #options: DnsOptions;
  readonly #watched = new Map<string, Watched>();

  constructor(options: DnsOptions) {
    this.#options = options;
  }

  async watch(names: readonly DnsName[]): Promise<void> {
    const wanted = byName(names);
    for (const [name, entry] of this.#watched) {
      if (wanted.has(name)) continue;
      entry.cancel();
      this.#watched.delete(name);
    }
    for (const [name, ports] of wanted) {
      const entry = this.#watched.get(name);
      if (entry === undefined) this.#begin(name, ports);
      else entry.ports = ports;
    }
    await Promise.all([...this.#watched.values()].map(({ first }) => first));
  }

  current(): ResolvedNames {
    const resolved: Record<string, readonly string[]> = {};
    for (const [name, { ports, addresses }] of this.#watched) {
      if (addresses.length === 0) continue;
      for (const port of ports) {
        resolved[`${name}:${port}`] = addresses.map((address) => toEndpoint(address, port));
      }
    }
    return resolved;
  }

  stop(): void {
    for (const { cancel } of this.#watched.values()) cancel();
    this.#watched.clear();
  }

  #begin(name: string, ports: readonly number[]): void {
    const entry: Watched = { ports, addresses: [], failures: 0, cancel: () => {}, first: Promise.resolve() };
    this.#watched.set(name, entry);
    entry.first = this.#refresh(name, entry);
  }

  /** One look-up and the timer of the next. Never rejects. */
  async #refresh(name: string, entry: Watched): Promise<void> {
    const { random, later } = this.#options;
    let wait: number;
    try {
      const { addresses, ttlMs } = await this.#options.lookup(name);
      if (addresses.length === 0) throw new Error('the answer has no addresses');
      if (this.#watched.get(name) !== entry) return;
      entry.failures = 0;
      wait = toRefreshMs(ttlMs, random());
      this.#learn(entry, addresses);
    } catch (cause) {
      if (this.#watched.get(name) !== entry) return;
      wait = toRetryMs(entry.failures, random());
      entry.failures += 1;
      this.#options.onFailure(name, cause);
    }
    entry.cancel = later(() => void this.#refresh(name, entry), wait);
  }

  /** Answers rotate: only another set of addresses is a change. */
  #learn(entry: Watched, addresses: readonly string[]): void {
    const sorted = [...new Set(addresses)].sort();
    if (sorted.join() === entry.addresses.join()) return;
    entry.addresses = sorted;
    this.#options.onChange(this.current());
  }
}

function byName(names: readonly DnsName[]): Map<string, number[]> {
  const ports = new Map<string, Set<number>>();
  for (const { name, port } of names) {
    const known = ports.get(name) ?? new Set();
    ports.set(name, known.add(port));
  }
  return new Map([...ports].map(([name, all]) => [name, [...all]]));
}

function toEndpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
