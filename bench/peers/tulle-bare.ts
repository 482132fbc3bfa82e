// The data plane without Node, as the bare binary runs a snapshot: shows what being inside Node costs. Only on request.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfigObject } from '../../src/config/load.js';
import { compile } from '../../src/engine/compile.js';
import { projectRoot, RigError } from '../rig/tools.js';
import type { Ground, Launch, Peer } from './peer.js';
import { planWith, portsOf, type TulleConfig } from './tulle.js';

/** Tulle's data plane with one worker and no JavaScript. */
export const tulleBare: Peer = {
  name: 'tulle-bare',
  version: () => {
    if (!existsSync(binary()))
      throw new Error(`${binary()} is missing: run cargo build --release in native/`);
    return 'Tulle without Node';
  },
  plan: (shape, ground) => planWith(launch, shape, ground),
};

function binary(): string {
  return join(projectRoot(), 'native/target/release/tulle-bare');
}

function launch(ground: Ground, name: string, config: TulleConfig): Launch {
  const { config: checked, diagnostics } = loadConfigObject(config, ground.folder);
  if (checked === null)
    throw new RigError(`tulle-bare: ${diagnostics[0]?.message ?? 'the configuration is refused'}`);
  const file = ground.write(
    `${name}.json`,
    JSON.stringify(compile(checked, { baseDir: ground.folder, defaultWorkers: 1 })),
  );
  return { command: [binary(), file], listens: portsOf(config) };
}
