// Looks whether the files that a configuration names are there and can be read: the only part of check that touches
// the disk, and so a step of its own.
// In: a loaded configuration. Out: diagnostics that name the listener or service. After: compile.

import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from '../lib/errors.js';
import { Cursor } from './cursor.js';
import { type Diagnostic, sortDiagnostics } from './diagnostic.js';
import type { Loaded } from './load.js';
import { type Finding, toDiagnostic } from './source.js';

interface NamedFile {
  readonly cursor: Cursor;
  /** Such as `the listener web`. */
  readonly owner: string;
  readonly isKey: boolean;
}

/** One diagnostic for each named file that is missing, unreadable or no file, and for each key open to others. */
export async function checkFiles({ source }: Pick<Loaded, 'source'>): Promise<Diagnostic[]> {
  if (source === null) return [];
  const files = namedFiles(new Cursor(source.value));
  const findings = await Promise.all(files.map((file) => checkFile(file, source.baseDir)));
  return sortDiagnostics(
    findings.filter((finding) => finding !== null).map((finding) => toDiagnostic(source, finding)),
  );
}

function namedFiles(root: Cursor): NamedFile[] {
  const files: NamedFile[] = [];
  for (const [kind, key] of [
    ['listener', 'listeners'],
    ['service', 'services'],
  ] as const) {
    for (const [name, object] of root.at(key).entries()) {
      const owner = `the ${kind} \`${name}\``;
      const tls = object.at('tls');
      for (const certificate of [...tls.at('certificates').items(), tls.at('identity')]) {
        files.push({ cursor: certificate.at('cert'), owner, isKey: false });
        files.push({ cursor: certificate.at('key'), owner, isKey: true });
      }
      files.push(...tls.present(['trustBundle', 'crl']).map((cursor) => ({ cursor, owner, isKey: false })));
    }
  }
  return files.filter(
    ({ cursor }) => cursor.text !== undefined && cursor.text !== '' && !cursor.text.includes('\0'),
  );
}

async function checkFile({ cursor, owner, isKey }: NamedFile, baseDir: string): Promise<Finding | null> {
  const file = path.resolve(baseDir, cursor.text ?? '');
  const at = { path: cursor.path };
  try {
    const found = await stat(file);
    if (!found.isFile()) return { ...at, code: 'MISSING_FILE', message: `${owner}: ${file} is not a file` };
    await access(file, constants.R_OK);
    if (!isKey || (found.mode & 0o007) === 0) return null;
    const message = `${owner}: everybody on this machine may read or change the private key ${file}`;
    return { ...at, code: 'EXPOSED_KEY', message, hint: `chmod 600 ${cursor.text}`, severity: 'warning' };
  } catch (caught) {
    const code = systemCode(caught);
    if (code === undefined) throw caught;
    const reason = REASONS[code] ?? `cannot be read: ${code}`;
    return { ...at, code: 'MISSING_FILE', message: `${owner}: ${file} ${reason}` };
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'may not be read by this user',
};
