// Test programs that come as Go modules, built once into the user's cache folder: h2spec, gRPC's interop client and
// server. In: a Go of any age. Out: the programs, and their paths in build/programs.json, where tests look them up.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { command, root, StepError, timed } from './steps.mjs';

/** What builds them all; an older Go fetches it as a module. */
const GO = '1.26.0';
const GRPC = 'v1.85.0';

/** Name in build/programs.json → package and version. */
const PROGRAMS = {
  h2spec: ['github.com/summerwind/h2spec/cmd/h2spec', 'v2.2.1+incompatible'],
  grpcInteropClient: ['google.golang.org/grpc/interop/client', GRPC],
  grpcInteropServer: ['google.golang.org/grpc/interop/server', GRPC],
};

const cache = path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'tulle-test');

function place(name) {
  const [, version] = PROGRAMS[name];
  return path.join(cache, `${name}-${version}`, path.basename(PROGRAMS[name][0]));
}

/** Whether a Go is at least the one that is needed. */
function suffices(go) {
  const { status, stdout } = spawnSync(go, ['env', 'GOVERSION'], {
    encoding: 'utf8',
    env: { ...process.env, GOTOOLCHAIN: 'local' },
  });
  const parts = /^go(\d+)\.(\d+)/.exec(stdout ?? '');
  if (status !== 0 || parts === null) return false;
  const [major, minor] = GO.split('.').map(Number);
  return Number(parts[1]) > major || (Number(parts[1]) === major && Number(parts[2]) >= minor);
}

/** Fetches a newer Go by way of an older one. Modules come without execute bits. */
function fetchToolchain(go) {
  const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch];
  const module = `golang.org/toolchain@v0.0.1-go${GO}.linux-${arch}`;
  const told = execFileSync(go, ['mod', 'download', '-json', module], {
    cwd: cache,
    encoding: 'utf8',
    env: { ...process.env, GOTOOLCHAIN: 'local' },
  });
  const folder = JSON.parse(told).Dir;
  for (const part of ['bin', 'pkg/tool']) {
    for (const entry of fs.readdirSync(path.join(folder, part), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) fs.chmodSync(path.join(entry.parentPath ?? entry.path, entry.name), 0o755);
    }
  }
  return path.join(folder, 'bin', 'go');
}

/** A Go that is new enough. Throws a StepError with what to install. */
function findGo() {
  if (suffices('go')) return 'go';
  try {
    return fetchToolchain('go');
  } catch (cause) {
    throw new StepError(
      `Go ${GO} or later is needed (https://go.dev/dl); fetching it failed: ${cause.message}`,
    );
  }
}

/** Builds beside the final place, so that a build that breaks leaves nothing. */
async function install(go, name) {
  const [pack, version] = PROGRAMS[name];
  const target = place(name);
  const fresh = `${path.dirname(target)}.${process.pid}`;
  fs.rmSync(fresh, { recursive: true, force: true });
  await command(go, ['install', `${pack}@${version}`], {
    env: { GOBIN: fresh, GOTOOLCHAIN: 'local', GOFLAGS: '' },
    quiet: true,
  });
  fs.rmSync(path.dirname(target), { recursive: true, force: true });
  fs.renameSync(fresh, path.dirname(target));
}

/** Makes the programs be there; does nothing when they are. */
export async function ensureGoPrograms() {
  const names = Object.keys(PROGRAMS);
  const missing = names.filter((name) => !fs.existsSync(place(name)));
  if (missing.length > 0) {
    fs.mkdirSync(cache, { recursive: true });
    const go = findGo();
    await timed(`building ${missing.join(', ')} (once)`, async () => {
      for (const name of missing) await install(go, name);
    });
  }
  const told = JSON.stringify(Object.fromEntries(names.map((name) => [name, place(name)])), null, 2);
  fs.mkdirSync(path.join(root, 'build'), { recursive: true });
  fs.writeFileSync(path.join(root, 'build', 'programs.json'), `${told}\n`);
}
