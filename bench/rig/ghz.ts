// ghz, the load for gRPC streams: a Go program, built once into the user's cache folder. In: a Go on the path; out: the
// program's path, or the reason why it is not there.

import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { progress } from '../report/progress.js';
import { cacheFolder } from './packages.js';
import { hasProgram, RigError, run } from './tools.js';

const GHZ = 'v0.120.0';

/** Where ghz is, or will be. */
export function ghzBinary(): string {
  return join(cacheFolder(`ghz-${GHZ}`), 'ghz');
}

/** Builds ghz unless it is there; beside its final place, so that a broken build leaves nothing. Throws {@link RigError}. */
export function installGhz(): void {
  if (existsSync(ghzBinary())) return;
  if (!hasProgram('go')) throw new RigError('it needs ghz, and Go to build that (https://go.dev/dl)');
  const folder = cacheFolder(`ghz-${GHZ}`);
  const fresh = `${folder}.new`;
  progress(`building ghz ${GHZ} (once)`);
  rmSync(fresh, { recursive: true, force: true });
  const env = { ...process.env, GOBIN: fresh, GOFLAGS: '' };
  run(['go', 'install', `github.com/bojand/ghz/cmd/ghz@${GHZ}`], { env });
  rmSync(folder, { recursive: true, force: true });
  renameSync(fresh, folder);
}
