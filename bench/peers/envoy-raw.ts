// Envoy for bytes: its TCP proxy, and the TLS inspector in front of it. In: a shape and its ground; out: a configuration
// file and a command.

import { envoyBinary } from '../rig/packages.js';
import { cluster, ENVOY_FLAGS, socket, typed } from './envoy-parts.js';
import { type Ground, type Plan, type RawShape, SNI_NAME, single } from './peer.js';

/** Bytes as they come, or TLS by the name in its ClientHello. */
export function envoyRaw(shape: RawShape, ground: Ground): Plan {
  const port = ground.ports.take();
  const isSni = shape === 'sni';
  const proxy = typed('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', {
    stat_prefix: 'in',
    cluster: 'out',
    idle_timeout: '300s',
  });
  const inspector = {
    name: 'envoy.filters.listener.tls_inspector',
    typed_config: typed('envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector', {}),
  };
  const listener = {
    name: 'in',
    address: socket(port),
    ...(isSni ? { listener_filters: [inspector] } : {}),
    filter_chains: [
      {
        ...(isSni ? { filter_chain_match: { server_names: [SNI_NAME] } } : {}),
        filters: [{ name: 'envoy.filters.network.tcp_proxy', typed_config: proxy }],
      },
    ],
  };
  const target = isSni ? ground.upstreamTls : ground.upstream;
  const configuration = {
    admin: { address: socket(ground.ports.take()) },
    static_resources: {
      listeners: [listener],
      clusters: [cluster(target, { h2Out: false, upstream: undefined })],
    },
  };
  const file = ground.write('envoy.json', JSON.stringify(configuration, undefined, 1));
  return single({ command: [envoyBinary(), '-c', file, ...ENVOY_FLAGS], listens: [port] }, port, isSni);
}
