// nginx for bytes: Debian's stream module. In: a shape and its ground; out: a configuration file and a command.

import { NGINX_STREAM } from '../rig/packages.js';
import { type Ground, type Plan, type RawShape, SNI_NAME, single } from './peer.js';

/** Bytes as they come, or TLS by the name in its ClientHello; another name goes to a port where nothing listens. */
export function nginxRaw(shape: RawShape, ground: Ground): Plan {
  const port = ground.ports.take();
  const isSni = shape === 'sni';
  const file = ground.write('nginx.conf', configuration(ground, { port, isSni }));
  const command = ['nginx', '-e', `${ground.folder}/nginx.log`, '-p', ground.folder, '-c', file] as const;
  return single({ command: [...command], listens: [port] }, port, isSni);
}

function configuration(ground: Ground, at: { port: number; isSni: boolean }): string {
  const map = `map $ssl_preread_server_name $target {
    hostnames;
    default unknown;
    ${SNI_NAME} known;
  }
  upstream unknown { server 127.0.0.1:${at.isSni ? ground.ports.take() : 0}; }`;
  return `load_module ${NGINX_STREAM};
daemon off;
worker_processes 1;
worker_rlimit_nofile ${ground.fileLimit};
pid ${ground.folder}/nginx.pid;
error_log ${ground.folder}/nginx.log warn;
events { worker_connections ${Math.min(12_000, ground.fileLimit)}; }
stream {
  access_log off;
  ${at.isSni ? map : ''}
  upstream known { server 127.0.0.1:${at.isSni ? ground.upstreamTls : ground.upstream}; }
  server {
    listen 127.0.0.1:${at.port} backlog=4096;
    proxy_connect_timeout 3s;
    proxy_timeout 300s;
    ${at.isSni ? 'ssl_preread on;' : ''}
    proxy_pass ${at.isSni ? '$target' : 'known'};
  }
}
`;
}
