// Where the programs are that are built for tests from Go modules: `.ci/go.mjs` builds them and writes the list.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './process.js';

/** Names that are there. */
export type ProgramName = 'h2spec' | 'grpcInteropClient' | 'grpcInteropServer';

/** The path of a program. Throws where `npm test` never ran in this checkout. */
export function program(name: ProgramName): string {
  const list: unknown = JSON.parse(readFileSync(path.join(root, 'build', 'programs.json'), 'utf8'));
  const found = (list as Partial<Record<ProgramName, unknown>>)[name];
  if (typeof found !== 'string') throw new Error(`${name} is not in build/programs.json: run npm test`);
  return found;
}
