// `tulle certs`: has the addon write the certificates of the examples, and says what it did.

import path from 'node:path';
import { loadAddon } from '../engine/addon.js';
import { EXIT, type ExitCode, type GlobalOptions, printLine } from './output.js';

/** Where to, and whether what is still valid is replaced. */
export interface CertsOptions extends GlobalOptions {
  readonly dir: string;
  readonly force: boolean;
}

/** Writes DIR/certs; every file is named as written or kept. */
export async function runCerts({ dir, force, json }: CertsOptions): Promise<ExitCode> {
  const files = await loadAddon().writeCerts(path.resolve(dir), force, Math.floor(Date.now() / 1000));
  if (json === true) {
    printLine(JSON.stringify({ files }));
    return EXIT.ok;
  }
  for (const { path: file, kept } of files)
    printLine(`${kept ? 'kept   ' : 'written'}  ${path.relative('', file)}`);
  return EXIT.ok;
}
