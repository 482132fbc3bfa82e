// A proxy in this process, as `import { createProxy } from 'tulle'` gives it.
// In: a configuration, as a file or an object. Out: a running data plane that takes new configurations, tells its
// numbers and ends. Before: load, check and compile. After: the addon applies the snapshot.

import { TulleError } from '../lib/errors.js';
import { type Engine, loadAddon } from './addon.js';
import type { Compiled, ProxySource } from './compiled.js';
import { createDnsWatch, type DnsWatch } from './dns.js';
import { createLookup, createSystemSources } from './dns-lookup.js';
import { compileSource, type SourceOptions } from './source.js';

/** What happens beside the calls; nothing of it ends the proxy. */
export interface ProxyOptions extends SourceOptions {
  /** Called when a `dns` endpoint's name cannot be looked up; its last good addresses stay in use. */
  readonly onDnsFailure?: (name: string, cause: unknown) => void;
  /** Called with what an operator should hear, such as a certificate that could not be reloaded. */
  readonly onNotice?: (text: string) => void;
}

/** A listener of a running proxy. */
export interface ListenerAddress {
  readonly name: string;
  /** `ip:port`, IPv6 in brackets; the port is the real one where the configuration says 0. */
  readonly address: string;
  /** `http://ip:port`, or the like with https, tcp or tls. */
  readonly url: string;
}

/** A proxy: made, started once, closed once. */
export interface TulleProxy {
  /** Opens the listeners; rejects with a TulleError, and nothing is open, where the configuration is refused. */
  start(): Promise<void>;
  /** Takes another configuration without a failed request; rejects, and the old one goes on, where it is refused. */
  apply(source: ProxySource): Promise<void>;
  /** Counters since the start. */
  stats(): ProxyStats;
  /** Opens the access log's file again, as after a rotation. */
  reopenLog(): void;
  /** The listeners of the running configuration. */
  readonly addresses: readonly ListenerAddress[];
  /** The digest of the running configuration, or null before start. */
  readonly version: string | null;
  /**
   * Stops accepting and waits until nothing is in flight, at most `limitMs` (default: the configuration's `drain`).
   * Resolves with whether all was done. The proxy still has to be closed.
   */
  drain(limitMs?: number): Promise<boolean>;
  /** Ends everything at once; does nothing the second time. */
  close(): Promise<void>;
}

/** Counters by name. */
export type ProxyStats = Readonly<Record<string, unknown>>;

/** How often the data plane is asked for notices. */
const NOTICES_MS = 1_000;
/** A wait holds a thread of Node's pool, and Node does not exit before it ends: so it is asked for in pieces. */
const DRAIN_SLICE_MS = 100;
/** How long the first look-up of names may hold up a start or a change. */
const FIRST_LOOKUP_MS = 2_000;

/** A proxy with this configuration, not yet started. */
export function createProxy(source: ProxySource, options: ProxyOptions = {}): TulleProxy {
  return new EmbeddedProxy(source, options);
}

class EmbeddedProxy implements TulleProxy {
  readonly #source: ProxySource;
  readonly #options: ProxyOptions;
  #running: Running | undefined;
  #began = false;
  #closed = false;
  /** Starts, changes and the end happen one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(source: ProxySource, options: ProxyOptions) {
    this.#source = source;
    this.#options = options;
  }

  start(): Promise<void> {
    if (this.#began) return Promise.reject(new TulleError('BAD_STATE', 'the proxy was already started'));
    this.#began = true;
    return this.#inTurn(async () => {
      this.#refuseClosed();
      const compiled = await compileSource(this.#source, this.#options);
      this.#running = await Running.start(compiled, this.#options);
    });
  }

  apply(source: ProxySource): Promise<void> {
    return this.#inTurn(async () => {
      this.#refuseClosed();
      const running = this.#inUse();
      await running.apply(await compileSource(source, this.#options));
    });
  }

  stats(): ProxyStats {
    return JSON.parse(this.#inUse().engine.stats()) as ProxyStats;
  }

  reopenLog(): void {
    this.#inUse().engine.reopenLog();
  }

  get addresses(): readonly ListenerAddress[] {
    return this.#running?.addresses() ?? [];
  }

  get version(): string | null {
    return this.#running?.facts.version ?? null;
  }

  async drain(limitMs?: number): Promise<boolean> {
    const running = this.#inUse();
    const { engine, facts } = running;
    const until = performance.now() + (limitMs ?? facts.drainMs);
    engine.drain();
    for (;;) {
      const left = Math.max(0, until - performance.now());
      if (await engine.waitDrained(Math.min(Math.ceil(left), DRAIN_SLICE_MS))) return true;
      if (left === 0 || this.#running !== running) return false;
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#inTurn(async () => {
      const running = this.#running;
      this.#running = undefined;
      await running?.close();
    });
  }

  #inUse(): Running {
    if (this.#running === undefined) throw new TulleError('BAD_STATE', 'the proxy is not running');
    return this.#running;
  }

  #refuseClosed(): void {
    if (this.#closed) throw new TulleError('BAD_STATE', 'the proxy was closed');
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work).catch((cause: unknown) => {
      throw TulleError.from(cause);
    });
    this.#turn = done.catch(() => {});
    return done;
  }
}

interface RunningParts extends ProxyOptions {
  readonly dns: DnsWatch;
}

/** What is kept of a configuration once the data plane has it. */
type Facts = Omit<Compiled, 'bytes'>;

/** An engine with what belongs to it on this side. */
class Running {
  readonly engine: Engine;
  readonly #dns: DnsWatch;
  /** Asks for notices; and keeps Node alive, as a listening server would: the data plane's threads do not. */
  readonly #notices: NodeJS.Timeout;
  facts: Facts;

  private constructor(engine: Engine, facts: Facts, { dns, onNotice }: RunningParts) {
    this.engine = engine;
    this.facts = facts;
    this.#dns = dns;
    this.#notices = setInterval(() => {
      for (const text of engine.notices()) onNotice?.(text);
    }, NOTICES_MS);
  }

  static async start({ bytes, ...facts }: Compiled, options: ProxyOptions): Promise<Running> {
    const { Engine } = loadAddon();
    let running: Running | undefined;
    const dns = createDnsWatch({
      lookup: createLookup(createSystemSources()),
      later: (run, ms) => {
        const timer = setTimeout(run, ms).unref();
        return () => clearTimeout(timer);
      },
      random: Math.random,
      onChange: () => running?.resolve(),
      onFailure: (name, cause) => options.onDnsFailure?.(name, cause),
    });
    try {
      await firstLookUp(dns, facts);
      const engine = await refused(Engine.start(asBuffer(bytes)));
      running = new Running(engine, facts, { ...options, dns });
      running.resolve();
      return running;
    } catch (cause) {
      dns.stop();
      throw cause;
    }
  }

  async apply({ bytes, ...facts }: Compiled): Promise<void> {
    await firstLookUp(this.#dns, facts, this.facts);
    try {
      await refused(this.engine.apply(asBuffer(bytes)));
      this.facts = facts;
    } finally {
      void this.#dns.watch(this.facts.dnsNames);
      this.resolve();
    }
  }

  resolve(): void {
    const resolved = this.#dns.current();
    if (Object.keys(resolved).length > 0) this.engine.resolve(Buffer.from(JSON.stringify(resolved)));
  }

  addresses(): readonly ListenerAddress[] {
    const { schemes } = this.facts;
    return this.engine.addresses().map(({ name, address }) => ({
      name,
      address,
      url: `${schemes[name] ?? 'http'}://${address}`,
    }));
  }

  async close(): Promise<void> {
    clearInterval(this.#notices);
    this.#dns.stop();
    await this.engine.close();
  }
}

/** Looks up the names that are new, so that the first requests find addresses; not longer than the bound. */
async function firstLookUp(dns: DnsWatch, ...all: readonly Facts[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const bound = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FIRST_LOOKUP_MS);
  });
  await Promise.race([dns.watch(all.flatMap(({ dnsNames }) => dnsNames)), bound]);
  clearTimeout(timer);
}

/** The same memory as Node's own type: what came from a thread is a plain Uint8Array. */
function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** What the data plane says no to, as one error with its own words. */
async function refused<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (cause) {
    throw new TulleError('ENGINE_REFUSED', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
