// Programs that come from Debian packages: what is missing is installed where that is possible without asking.
// In: the names of commands. Out: the apt-get line that is still needed, or nothing.
import { spawnSync } from 'node:child_process';
import { command, say } from './steps.mjs';

/** What the test suite runs beside Node and Rust: command, and the package it comes in. */
export const forTests = [
  ['cc', 'build-essential'],
  ['curl', 'curl'],
  ['go', 'golang-go'],
  ['openssl', 'openssl'],
];
/** What the drills of `npm run test:long` run beside them: a Docker, a base for its image without a registry, a browser. */
export const forLong = [
  ...forTests,
  ['docker', 'docker.io'],
  ['dockerd', 'docker.io'],
  ['debootstrap', 'debootstrap'],
  ['chromium', 'chromium'],
];
/** What a start needs: the data plane's TLS library contains C. */
export const forStart = [['cc', 'build-essential']];

function has(name) {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name]).status === 0;
}

function missing(programs) {
  return [...new Set(programs.filter(([name]) => !has(name)).map(([, pack]) => pack))];
}

/**
 * Installs what is missing, as root or by a sudo that asks for no password. Returns the line that an operator has to
 * run, or null when nothing is missing.
 */
export async function ensurePrograms(programs) {
  const packages = missing(programs);
  if (packages.length === 0) return null;
  const line = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  const sudo = process.getuid() === 0 ? [] : ['sudo', '-n'];
  const allowed = sudo.length === 0 || spawnSync('sudo', ['-n', 'true'], { detached: true }).status === 0;
  if (allowed && has('apt-get')) {
    say(`> installing ${packages.join(', ')}`);
    const [name, ...first] = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get'];
    try {
      await command(name, [...first, 'update', '-q']);
      await command(name, [...first, ...line.split(' ').slice(1), '-q']);
    } catch (cause) {
      say(cause.message);
    }
  }
  return missing(programs).length === 0 ? null : `sudo ${line}`;
}
