// Tulle itself as its command line runs it, inside Node. In: a shape and its ground; out: configuration files as its
// users write them (the pair is examples/hop-*.yaml on other ports) and the commands. Trace headers are off, because not
// every peer can make them; request ids and metrics are on, as everywhere.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../rig/tools.js';
import {
  CLIENT_ID,
  type FrontShape,
  type Ground,
  isPair,
  isRaw,
  type Launch,
  type PairShape,
  type Peer,
  type Plan,
  paired,
  type RawShape,
  SERVER_ID,
  type Shape,
  SNI_NAME,
  single,
  WIRES,
} from './peer.js';

/** Tulle with one worker, as `tulle proxy` runs it. */
export const tulle: Peer = {
  name: 'tulle',
  version,
  plan: (shape, ground) => planWith(launchTulle, shape, ground),
};

/** A configuration as a value; JSON is YAML. */
export type TulleConfig = Readonly<Record<string, unknown>>;

const ALL = [{ name: 'all', rules: [{ backends: [{ service: 'app' }] }] }];

function version(): string {
  const main = entry();
  if (!existsSync(main)) throw new Error(`${main} is missing: run npm run build`);
  const manifest: unknown = JSON.parse(readFileSync(join(projectRoot(), 'package.json'), 'utf8'));
  const found =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : '?';
  return `Tulle ${String(found)}`;
}

function entry(): string {
  return join(projectRoot(), 'dist/cli/main.js');
}

/** What is common to every configuration. */
export const BASE = { workers: 1, accessLog: { file: '-', requests: 'off' } };

/** What is common to every listener for traffic: the other peers keep idle clients as long. */
export const LISTENER = { headers: { trace: false }, limits: { idleTimeout: '5m' } };

/** The configuration of one front, its ports taken from the ground. HTTP/2 in needs no word. */
export function frontConfig(shape: FrontShape, ground: Ground): { config: TulleConfig; port: number } {
  const wire = WIRES[shape];
  const port = ground.ports.take();
  const { cert, key } = ground.certificates.edge;
  const app = wire.h2Out
    ? { protocol: 'grpc', endpoints: [`127.0.0.1:${ground.upstreamH2}`] }
    : { endpoints: [`127.0.0.1:${ground.upstream}`] };
  const tls = wire.tls ? { tls: { certificates: [{ cert, key }], minVersion: '1.3' } } : {};
  const config = {
    ...BASE,
    listeners: { web: { address: `127.0.0.1:${port}`, ...tls, ...LISTENER }, admin: admin(ground) },
    services: { app },
    routes: ALL,
  };
  return { config, port };
}

/** The same for bytes: examples/tcp.yaml on other ports. */
function rawConfig(shape: RawShape, ground: Ground): { config: TulleConfig; port: number } {
  const port = ground.ports.take();
  const backends = [{ service: 'app' }];
  const kind =
    shape === 'tcp'
      ? { protocol: 'tcp', backends }
      : { protocol: 'tls-passthrough', routes: [{ hostnames: [SNI_NAME], backends }] };
  const target = shape === 'tcp' ? ground.upstream : ground.upstreamTls;
  const config = {
    ...BASE,
    listeners: { raw: { address: `127.0.0.1:${port}`, ...kind }, admin: admin(ground) },
    services: { app: { protocol: 'tcp', endpoints: [`127.0.0.1:${target}`] } },
  };
  return { config, port };
}

/** Starts `tulle proxy` with a configuration. */
export function launchTulle(ground: Ground, name: string, config: TulleConfig): Launch {
  const file = ground.write(`${name}.yaml`, JSON.stringify(config));
  return {
    command: [process.execPath, entry(), 'proxy', '--config', file],
    listens: portsOf(config),
  };
}

/** How a configuration becomes a process. */
export type LaunchConfig = (ground: Ground, name: string, config: TulleConfig) => Launch;

/** The plan of a shape, whatever runs the configurations. */
export function planWith(launch: LaunchConfig, shape: Shape, ground: Ground): Plan {
  if (isPair(shape)) return pairWith(launch, shape, ground);
  const { config, port } = isRaw(shape) ? rawConfig(shape, ground) : frontConfig(shape, ground);
  const isSecure = isRaw(shape) ? shape === 'sni' : WIRES[shape].tls;
  return single(launch(ground, 'tulle', config), port, isSecure);
}

function pairWith(launch: LaunchConfig, shape: PairShape, ground: Ground): Plan {
  const inner = ground.ports.take();
  const front = ground.ports.take();
  const answering = launch(ground, 'tulle-server', answeringConfig(ground, inner));
  const protocol = shape === 'pair-h2' ? 'http2' : 'http';
  const calling = launch(ground, 'tulle-client', callingConfig(ground, { inner, front, protocol }));
  return paired(answering, calling, { inner, front });
}

/** examples/hop-server.yaml on other ports. */
function answeringConfig(ground: Ground, inner: number): TulleConfig {
  const { server, ca } = ground.certificates;
  const identity = { cert: server.cert, key: server.key };
  return {
    ...BASE,
    listeners: {
      inbound: {
        address: `127.0.0.1:${inner}`,
        tls: { mode: 'mutual', identity, trustBundle: ca },
        forwardIdentity: true,
        ...LISTENER,
      },
      admin: admin(ground),
    },
    services: { app: { endpoints: [`127.0.0.1:${ground.upstream}`] } },
    routes: [{ name: 'app', listeners: ['inbound'], rules: [{ backends: [{ service: 'app' }] }] }],
    authorization: [
      {
        name: 'web-may-read',
        listeners: ['inbound'],
        action: 'allow',
        mode: 'enforce',
        rules: [{ from: [CLIENT_ID], methods: ['GET', 'HEAD'], paths: [{ prefix: '/' }] }],
      },
    ],
  };
}

/** examples/hop-client.yaml on other ports; `protocol` is what the two halves speak. */
function callingConfig(
  ground: Ground,
  at: { inner: number; front: number; protocol: 'http' | 'http2' },
): TulleConfig {
  const { client, ca } = ground.certificates;
  const identity = { cert: client.cert, key: client.key };
  const tls = { mode: 'mutual', identity, trustBundle: ca, expect: [SERVER_ID] };
  return {
    ...BASE,
    listeners: { outbound: { address: `127.0.0.1:${at.front}`, ...LISTENER }, admin: admin(ground) },
    services: { app: { protocol: at.protocol, endpoints: [`127.0.0.1:${at.inner}`], tls } },
    routes: ALL,
  };
}

function admin(ground: Ground): TulleConfig {
  return { address: `127.0.0.1:${ground.ports.take()}`, admin: true };
}

/** The ports that a configuration of this file listens on. */
export function portsOf(config: TulleConfig): number[] {
  const listeners: readonly { address?: string }[] = Object.values(config.listeners ?? {});
  return listeners.map(({ address }) => Number(address?.split(':')[1]));
}
