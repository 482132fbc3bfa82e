// Parts of Envoy's configurations that requests and bytes have in common. In: ports and contexts; out: JSON values.

/** One worker thread. */
export const ENVOY_FLAGS = ['--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'] as const;

/** A value of a named protobuf type. */
export function typed(type: string, rest: object): object {
  return { '@type': `type.googleapis.com/${type}`, ...rest };
}

/** A port of 127.0.0.1. */
export function socket(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

/** A transport socket with a TLS context; nothing for plain text. */
export function transport(type: string, context: object | undefined): object {
  if (context === undefined) return {};
  return { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: typed(type, context) } };
}

const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    { explicit_http_config: { http2_protocol_options: {} } },
  ),
};

/** The one cluster, `out`. */
export function cluster(
  target: number,
  how: { readonly h2Out: boolean; readonly upstream: object | undefined },
): object {
  const limits = {
    priority: 'DEFAULT',
    max_connections: 20_000,
    max_requests: 20_000,
    max_pending_requests: 20_000,
  };
  return {
    name: 'out',
    type: 'STATIC',
    connect_timeout: '3s',
    circuit_breakers: { thresholds: [limits] },
    load_assignment: {
      cluster_name: 'out',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(target) } }] }],
    },
    ...(how.h2Out ? { typed_extension_protocol_options: HTTP2 } : {}),
    ...transport('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', how.upstream),
  };
}
