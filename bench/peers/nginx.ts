// nginx (Debian's package) as a peer. In: a shape and its ground; out: configuration files and commands.
// It checks a certificate's DNS name and chain but knows no SPIFFE IDs: the nearest it has.

import { firstLineOf } from '../rig/tools.js';
import { type Ground, type Launch, type Peer, type Plan, paired, type Shape, single } from './peer.js';

/** nginx with one worker process. */
export const nginx: Peer = {
  name: 'nginx',
  version: () => firstLineOf(['nginx', '-v']).replace(/^nginx version: /, ''),
  plan: (shape, ground) => (shape === 'pair' ? pair(ground) : front(shape, ground)),
};

interface Server {
  readonly name: string;
  readonly port: number;
  /** Lines of the server block before its location. */
  readonly tls: readonly string[];
  /** Lines of the location after the common headers. */
  readonly out: readonly string[];
  readonly target: { readonly scheme: 'http' | 'https'; readonly port: number };
}

function front(shape: Exclude<Shape, 'pair'>, ground: Ground): Plan {
  const { edge } = ground.certificates;
  const port = ground.ports.take();
  const tls = shape === 'tls' ? serverTls(edge.cert, edge.key) : [];
  const target = { scheme: 'http', port: ground.upstream } as const;
  return single(launch(ground, { name: 'nginx', port, tls, out: [], target }), port, shape === 'tls');
}

function pair(ground: Ground): Plan {
  const { server, client, ca } = ground.certificates;
  const inner = ground.ports.take();
  const outer = ground.ports.take();
  const answering: Server = {
    name: 'nginx-server',
    port: inner,
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
  const ssl = server.tls.length > 0 ? ' ssl' : '';
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
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Request-Id $request_id;
      ${server.out.join('\n      ')}
      proxy_pass ${server.target.scheme}://target;
    }
    location = /status { stub_status; }
  }
}
`;
}
