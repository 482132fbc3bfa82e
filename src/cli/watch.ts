// Notices that a file changed, however it was changed: written in place, renamed over, or behind a symlink that moved.
// In: the file. Out: one call per change of content. The folder is watched, since an editor's rename takes the file's
// own watch with it.

import { createHash } from 'node:crypto';
import { type FSWatcher, readFileSync, realpathSync, watch } from 'node:fs';
import path from 'node:path';

/** Events within this time are one change. */
const QUIET_MS = 100;

/** Calls `changed` after each change of the file's content; the returned function ends that. */
export function watchFile(file: string, changed: () => void): () => void {
  let last = toDigest(file);
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    const found = toDigest(file);
    // A file that is gone is about to be replaced: the old configuration goes on until then.
    if (found === undefined || found === last) return;
    last = found;
    changed();
  };
  const later = (): void => {
    clearTimeout(timer);
    timer = setTimeout(look, QUIET_MS);
  };
  const watchers = toFolders(file).map((folder): FSWatcher => watch(folder, { persistent: false }, later));
  for (const watcher of watchers) watcher.on('error', () => watcher.close());
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

/** The folder the file is named in, and the one it really is in. */
function toFolders(file: string): string[] {
  return [...new Set([path.dirname(path.resolve(file)), path.dirname(realpathSync(file))])];
}

function toDigest(file: string): string | undefined {
  try {
    return createHash('sha256').update(readFileSync(file)).digest('hex');
  } catch {
    return undefined;
  }
}
