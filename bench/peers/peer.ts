// What the rig knows about a peer: how to write its configuration and which commands run it. Before: options; after: rig/run.

import type { Certificates } from '../rig/certificates.js';
import type { Ports } from '../rig/ports.js';

/** `http`: plain to plain. `tls`: TLS 1.3 in, plain out. `pair`: plain, mutual TLS 1.3 between two proxies, plain. */
export type Shape = 'http' | 'tls' | 'pair';

/** Where a peer's files go and what it stands between. One per started peer. */
export interface Ground {
  /** Folder of this peer's own files. */
  readonly folder: string;
  /** Writes a file into the folder; its absolute path. */
  write(name: string, text: string): string;
  readonly ports: Ports;
  readonly certificates: Certificates;
  /** Port of the upstream on 127.0.0.1. */
  readonly upstream: number;
  /** Open files that a process may have here. */
  readonly fileLimit: number;
}

/** One process to start. */
export interface Launch {
  readonly command: readonly [string, ...string[]];
  /** Ports that must listen, once each and by this process alone, before it counts as started. */
  readonly listens: readonly number[];
}

/** A peer's processes in starting order, and where requests go in. */
export interface Plan {
  readonly launches: readonly Launch[];
  readonly front: number;
  readonly secure: boolean;
  /** The mutual-TLS port between the two proxies of a pair. */
  readonly inner: number | undefined;
}

/** A proxy that can be measured. */
export interface Peer {
  readonly name: string;
  /** One line for the report, such as `nginx/1.22.1`. Throws when the peer cannot be run here. */
  version(): string;
  plan(shape: Shape, ground: Ground): Plan;
}

/** SPIFFE ID of the calling half of a pair, as in examples/hop-server.yaml. */
export const CLIENT_ID = 'spiffe://example.test/ns/shop/sa/web';

/** SPIFFE ID of the answering half, as in examples/hop-client.yaml. */
export const SERVER_ID = 'spiffe://example.test/ns/shop/sa/reviews';

/** A plan of one process. */
export function single(launch: Launch, front: number, secure: boolean): Plan {
  return { launches: [launch], front, secure, inner: undefined };
}

/** A plan of two processes: the server's half starts first. */
export function paired(server: Launch, client: Launch, ports: { inner: number; front: number }): Plan {
  return { launches: [server, client], front: ports.front, secure: false, inner: ports.inner };
}
