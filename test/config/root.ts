// Where the checkout is: the compiled tests lie in a folder of their own, golden files stay with the sources.

import { existsSync } from 'node:fs';
import path from 'node:path';

/** The folder of package.json. */
export const root = findRoot(import.meta.dirname);

function findRoot(folder: string): string {
  const parent = path.dirname(folder);
  if (existsSync(path.join(folder, 'package.json'))) return folder;
  if (parent === folder) throw new Error('no package.json above the tests');
  return findRoot(parent);
}
