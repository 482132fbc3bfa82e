// nginx (Debian's package) as a peer. In: a shape and its ground; out: configuration files and commands.
// It checks a certificate's DNS name and chain but knows no SPIFFE IDs: the nearest it has.

import { firstLineOf, RigError } from '../rig/tools.js';
import { nginxRaw } from './nginx-raw.js';
import {
  type FrontShape,
  type Ground,
  isRaw,
  type Launch,
  type Peer,
  type Plan,
  paired,
  single,
  WIRES,
} from './peer.js';

/** nginx with one worker process. */
export const nginx: Peer = {
  name: 'nginx',
  version: () => firstLineOf(['nginx', '-v']).replace(/^nginx version: /, ''),
  plan: (shape, ground) => {
    if (shape === 'pair-h2') throw new RigError('nginx speaks HTTP/2 to upstreams for gRPC only');
    if (shape === 'pair') return pair(ground);
    return isRaw(shape) ? nginxRaw(shape, ground) : front(shape, ground);
  },
};

interface Server {
  readonly name: string;
  readonly port: number;
  /** Clients speak HTTP/2. */
  readonly h2In: boolean;
  /** Lines of the server block before its location. */
  readonly tls: readonly string[];
  /** Lines of the location after the common headers. */
  readonly out: readonly string[];
  /** `grpc` stands for HTTP/2. */
  readonly target: { readonly scheme: 'http' | 'https' | 'grpc'; readonly port: number };
}

function front(shape: FrontShape, ground: Ground): Plan {
  const wire = WIRES[shape];
  const { edge } = ground.certificates;
  const port = ground.ports.take();
  const tls = wire.tls ? serverTls(edge.cert, edge.key) : [];
  const target = wire.h2Out
    ? ({ scheme: 'grpc', port: ground.upstreamH2 } as const)
    : ({ scheme: 'http', port: ground.upstream } as const);
  const server: Server = { name: 'nginx', port, h2In: wire.h2In, tls, out: [], target };
  return single(launch(ground, server), port, wire.tls);
}

function pair(ground: Ground): Plan {
  const { server, client, ca } = ground.certificates;
  const inner = ground.ports.take();
  const outer = ground.ports.take();
  const answering: Server = {
    name: 'nginx-server',
    port: inner,
    h2In: false,
    tls: [...serverTls(server.cert, server.key), `ssl_client_certificate ${ca};`, 'ssl_verify_client on;'],
    out: [
      'limit_except GET { deny all; }',
      'proxy_set_header X-Forwarded-Client-Cert "Subject=$ssl_client_s_dn";',
    ],
    target: { scheme: 'http', port: ground.upstream },
  };
  const calling: Server = {
    name: 'nginx-client',
    port: outer,
    h2In: false,
    tls: [],
    out: [
      `proxy_ssl_certificate ${client.cert};`,
      `proxy_ssl_certificate_key ${client.key};`,
      `proxy_ssl_trusted_certificate ${ca};`,
      'proxy_ssl_protocols TLSv1.3;',
      'proxy_ssl_verify on;',
      'proxy_ssl_name localhost;',
      'proxy_ssl_server_name on;',
    ],
    target: { scheme: 'https', port: inner },
  };
  return paired(launch(ground, answering), launch(ground, calling), { inner, front: outer });
}

function serverTls(cert: string, key: string): readonly string[] {
  return [
    `ssl_certificate ${cert};`,
    `ssl_certificate_key ${key};`,
    'ssl_protocols TLSv1.3;',
    'ssl_session_cache shared:s:10m;',
  ];
}

function launch(ground: Ground, server: Server): Launch {
  const file = ground.write(`${server.name}.conf`, configuration(ground, server));
  return {
    command: ['nginx', '-e', `${ground.folder}/${server.name}.log`, '-p', ground.folder, '-c', file],
    listens: [server.port],
  };
}

function configuration(ground: Ground, server: Server): string {
  const ssl = `${server.tls.length > 0 ? ' ssl' : ''}${server.h2In ? ' http2' : ''}`;
  return `daemon off;
worker_processes 1;
worker_rlimit_nofile ${ground.fileLimit};
pid ${ground.folder}/${server.name}.pid;
error_log ${ground.folder}/${server.name}.log warn;
events { worker_connections ${Math.min(12_000, ground.fileLimit)}; }
http {
  access_log off;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  client_body_temp_path ${ground.folder}/${server.name}-body;
  proxy_temp_path ${ground.folder}/${server.name}-proxy;
  fastcgi_temp_path ${ground.folder}/${server.name}-fastcgi;
  uwsgi_temp_path ${ground.folder}/${server.name}-uwsgi;
  scgi_temp_path ${ground.folder}/${server.name}-scgi;
  upstream target {
    server 127.0.0.1:${server.target.port};
    keepalive 512;
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
  }
  server {
    listen 127.0.0.1:${server.port}${ssl} backlog=4096;
    ${server.tls.join('\n    ')}
    location / {
      ${[...passing(server.target.scheme), ...server.out].join('\n      ')}
    }
    location = /status { stub_status; }
  }
}
`;
}

/** Where requests go, and the headers that they get. */
function passing(scheme: Server['target']['scheme']): readonly string[] {
  const kind = scheme === 'grpc' ? 'grpc' : 'proxy';
  const only = kind === 'proxy' ? ['proxy_http_version 1.1;', 'proxy_set_header Connection "";'] : [];
  return [
    ...only,
    `${kind}_set_header Host $http_host;`,
    `${kind}_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`,
    `${kind}_set_header X-Forwarded-Proto $scheme;`,
    `${kind}_set_header X-Forwarded-Host $http_host;`,
    `${kind}_set_header X-Request-Id $request_id;`,
    `${kind}_pass ${scheme}://target;`,
  ];
}
