// What goes into compiling a configuration and what comes out, as types that cost nothing to import.

import type { ProxyConfig } from '../config/load.js';
import type { DnsName } from './dns.js';

/** A configuration: written out, or the file that holds it. */
export type ProxySource = ProxyConfig | { readonly file: string };

/** A configuration as the data plane takes it, and what this side has to know of it. */
export interface Compiled {
  /** The snapshot's JSON. */
  readonly bytes: Uint8Array;
  /** The digest of its content. */
  readonly version: string;
  /** How long a drain may take. */
  readonly drainMs: number;
  /** How each listener's URL begins: http, https, tcp or tls. */
  readonly schemes: Readonly<Record<string, string>>;
  /** The names to look up. */
  readonly dnsNames: readonly DnsName[];
}

/** Programs without types may hand in anything: what is no object is refused by the check. */
export function isFile(source: ProxySource): source is { readonly file: string } {
  return typeof source === 'object' && source !== null && 'file' in source && typeof source.file === 'string';
}
