// HAProxy (Debian's package) as a peer. In: a shape and its ground; out: configuration files and commands.
// The caller's SPIFFE ID is not among the certificate fields it can read, so the pair checks chain and DNS name.

import { firstLineOf } from '../rig/tools.js';
import {
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
  SNI_NAME,
  single,
  WIRES,
} from './peer.js';

/** HAProxy with one thread. */
export const haproxy: Peer = {
  name: 'haproxy',
  version: () => `HAProxy ${/version (\S+)/.exec(firstLineOf(['haproxy', '-v']))?.[1] ?? '?'}`,
  plan: (shape, ground) => {
    if (isPair(shape)) return pair(shape, ground);
    return isRaw(shape) ? raw(shape, ground) : front(shape, ground);
  },
};

interface Half {
  readonly name: string;
  readonly port: number;
  /** What follows the address of `bind`. */
  readonly bind: string;
  /** Lines of the frontend after the common headers. */
  readonly rules: readonly string[];
  /** The address of `server`, and what follows it. */
  readonly target: string;
}

function front(shape: FrontShape, ground: Ground): Plan {
  const { tls, h2In, h2Out } = WIRES[shape];
  const port = ground.ports.take();
  const secure = `ssl crt ${ground.certificates.edge.both} ssl-min-ver TLSv1.3${h2In ? ' alpn h2' : ''}`;
  const bind = tls ? secure : h2In ? 'proto h2' : '';
  const target = h2Out ? `127.0.0.1:${ground.upstreamH2} proto h2` : `127.0.0.1:${ground.upstream}`;
  return single(launch(ground, { name: 'haproxy', port, bind, rules: [], target }), port, tls);
}

function pair(shape: PairShape, ground: Ground): Plan {
  const alpn = shape === 'pair-h2' ? ' alpn h2' : '';
  const { server, client, ca } = ground.certificates;
  const inner = ground.ports.take();
  const outer = ground.ports.take();
  const answering: Half = {
    name: 'haproxy-server',
    port: inner,
    bind: `ssl crt ${server.both} ssl-min-ver TLSv1.3 ca-file ${ca} verify required${alpn}`,
    rules: [
      'http-request deny unless METH_GET',
      'http-request set-header X-Forwarded-Client-Cert Subject=%[ssl_c_s_dn]',
    ],
    target: `127.0.0.1:${ground.upstream}`,
  };
  const calling: Half = {
    name: 'haproxy-client',
    port: outer,
    bind: '',
    rules: [],
    target: `127.0.0.1:${inner} ssl crt ${client.both} ssl-min-ver TLSv1.3 ca-file ${ca} verify required verifyhost localhost sni str(localhost)${alpn}`,
  };
  return paired(launch(ground, answering), launch(ground, calling), { inner, front: outer });
}

/** Bytes as they come, or TLS by the name in its ClientHello. */
function raw(shape: RawShape, ground: Ground): Plan {
  const port = ground.ports.take();
  const bySni = [
    'tcp-request inspect-delay 5s',
    'tcp-request content accept if { req.ssl_hello_type 1 }',
    `use_backend out if { req.ssl_sni -i ${SNI_NAME} }`,
  ];
  const lines = shape === 'sni' ? bySni : ['default_backend out'];
  const target = shape === 'sni' ? ground.upstreamTls : ground.upstream;
  const text = `${GLOBAL}
defaults
  mode tcp
  timeout connect 3s
  timeout client 300s
  timeout server 300s
frontend in
  bind 127.0.0.1:${port} backlog 4096
  ${lines.join('\n  ')}
backend out
  server one 127.0.0.1:${target}
`;
  const file = ground.write('haproxy.cfg', text);
  return single({ command: ['haproxy', '-db', '-f', file], listens: [port] }, port, shape === 'sni');
}

const GLOBAL = `global
  nbthread 1
  maxconn 11000
  no strict-limits`;

function launch(ground: Ground, half: Half): Launch {
  const file = ground.write(`${half.name}.cfg`, configuration(half));
  return { command: ['haproxy', '-db', '-f', file], listens: [half.port] };
}

function configuration(half: Half): string {
  const scheme = half.bind.startsWith('ssl') ? 'https' : 'http';
  return `${GLOBAL}
defaults
  mode http
  http-reuse always
  timeout connect 3s
  timeout client 300s
  timeout server 60s
  timeout http-keep-alive 300s
frontend in
  bind 127.0.0.1:${half.port} backlog 4096 ${half.bind}
  http-request use-service prometheus-exporter if { path /metrics }
  http-request set-header X-Forwarded-Proto ${scheme}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Request-Id %[uuid()]
  option forwardfor
  ${half.rules.join('\n  ')}
  default_backend out
backend out
  server one ${half.target}
`;
}
