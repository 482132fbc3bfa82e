// What the rig knows about a peer: how to write its configuration and which commands run it. Before: options; after: rig/run.

import type { Certificates } from '../rig/certificates.js';
import type { Ports } from '../rig/ports.js';

/**
 * One proxy for requests. `http`: plain HTTP/1.1 in and out. `tls`: TLS 1.3 in. `h2`: HTTP/2 without TLS in and out.
 * `h2-h1`: HTTP/1.1 out. `tls-h2`: HTTP/2 over TLS 1.3 in, HTTP/1.1 out.
 */
export type FrontShape = 'http' | 'tls' | 'h2' | 'h2-h1' | 'tls-h2';

/** One proxy for bytes. `tcp`: whatever they are. `sni`: TLS that is passed through by the name it asks for. */
export type RawShape = 'tcp' | 'sni';

/** Plain HTTP/1.1, mutual TLS 1.3 between two proxies, plain HTTP/1.1; between the two HTTP/1.1 or HTTP/2. */
export type PairShape = 'pair' | 'pair-h2';

/** What a peer is to be configured as. */
export type Shape = FrontShape | RawShape | PairShape;

/** What is spoken on both sides of one proxy for requests. */
export const WIRES: Readonly<Record<FrontShape, { tls: boolean; h2In: boolean; h2Out: boolean }>> = {
  http: { tls: false, h2In: false, h2Out: false },
  tls: { tls: true, h2In: false, h2Out: false },
  h2: { tls: false, h2In: true, h2Out: true },
  'h2-h1': { tls: false, h2In: true, h2Out: false },
  'tls-h2': { tls: true, h2In: true, h2Out: false },
};

/** The name that clients of `sni` ask for. */
export const SNI_NAME = 'localhost';

/** Whether a shape is of two proxies. */
export function isPair(shape: Shape): shape is PairShape {
  return shape === 'pair' || shape === 'pair-h2';
}

/** Whether a shape forwards bytes. */
export function isRaw(shape: Shape): shape is RawShape {
  return shape === 'tcp' || shape === 'sni';
}

/** Where a peer's files go and what it stands between. One per started peer. */
export interface Ground {
  /** Folder of this peer's own files. */
  readonly folder: string;
  /** Writes a file into the folder; its absolute path. */
  write(name: string, text: string): string;
  readonly ports: Ports;
  readonly certificates: Certificates;
  /** Ports of the upstreams on 127.0.0.1: HTTP/1.1, the same over TLS, HTTP/2. */
  readonly upstream: number;
  readonly upstreamTls: number;
  readonly upstreamH2: number;
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
  /** Throws a RigError with the reason for a shape that the peer cannot take. */
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
