// Loads the data plane, a native addon, once and on first use.
// In: the binary for this platform, from this package or its platform package. Out: its classes and functions, or one
// error that says what is missing. Before: compile. After: proxy.ts calls it.

import { createRequire } from 'node:module';
import { TulleError } from '../lib/errors.js';

/** What the addon exports. */
export type Addon = typeof import('#addon');
/** A running data plane. */
export type Engine = InstanceType<Addon['Engine']>;

const require = createRequire(import.meta.url);
let loaded: Addon | undefined;

/** The addon; throws a TulleError `ADDON_MISSING` where there is none for this platform. */
export function loadAddon(): Addon {
  loaded ??= load();
  return loaded;
}

function load(): Addon {
  try {
    return require('#addon') as Addon;
  } catch (cause) {
    const here = `${process.platform} ${process.arch}, Node ${process.versions.node}`;
    throw new TulleError(
      'ADDON_MISSING',
      `the data plane has no binary that loads here (${here}): run \`npm run build\` in a checkout, or install \`tulle\` again with its optional packages`,
      { cause },
    );
  }
}
