// Loads a proxy's configuration, from a file or from an object.
// In: a file's name, or what a program wrote. Out: a checked configuration, or every problem with its place.
// After: checkFiles, then compile.

import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from '../lib/errors.js';
import { BOUNDS } from './bounds.js';
import { check } from './check.js';
import { Cursor } from './cursor.js';
import type { Diagnostic, Problem } from './diagnostic.js';
import { readObject } from './object.js';
import type { CheckedConfig } from './schema/proxy.js';
import { type Source, toDiagnostic } from './source.js';
import { readYaml } from './yaml.js';

export type { CheckedConfig, ProxyConfig } from './schema/proxy.js';

/** What loading gave. */
export interface Loaded {
  /** Null exactly when there is an error among the diagnostics. */
  readonly config: CheckedConfig | null;
  /** What was read, or null where it could not be. */
  readonly source: Source | null;
  /** Absolute folder that file names in the configuration are relative to. */
  readonly baseDir: string;
  /** In the order of the file; with a config, only warnings. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Loads a file. What is wrong with it, that it is not there included, is in the diagnostics: it rejects for bugs only. */
export async function loadConfigFile(file: string): Promise<Loaded> {
  const baseDir = path.dirname(path.resolve(file));
  const bytes = await readBounded(file);
  if ('code' in bytes) return refuse({ file, baseDir }, bytes);
  return loadConfigText(bytes, { file, baseDir });
}

/** Loads the bytes of a file. `origin.file` is what diagnostics call it. */
export function loadConfigText(bytes: Uint8Array, origin: { file: string; baseDir: string }): Loaded {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return refuseEncoding(bytes, origin);
  }
  const { source, diagnostics } = readYaml(text, origin);
  return finish(source, diagnostics, origin.baseDir);
}

/** Loads an object. File names in it are relative to `baseDir`. Never throws, whatever it is given. */
export function loadConfigObject(config: unknown, baseDir: string = process.cwd()): Loaded {
  const absolute = path.resolve(baseDir);
  const { source, diagnostics } = readObject(config, absolute);
  return finish(source, diagnostics, absolute);
}

function finish(source: Source | null, earlier: readonly Diagnostic[], baseDir: string): Loaded {
  if (source === null) return { config: null, source, baseDir, diagnostics: earlier };
  const { trustDomain } = Object(source.value) as { trustDomain?: unknown };
  if (trustDomain !== undefined) {
    const finding = {
      ...A_MESH,
      path: new Cursor(source.value).at('trustDomain').path,
      target: 'key',
    } as const;
    return { config: null, source, baseDir, diagnostics: [...earlier, toDiagnostic(source, finding)] };
  }
  return { source, baseDir, ...check(source, earlier) };
}

const A_MESH: Problem = {
  code: 'IS_A_MESH',
  message: 'a file or folder with `trustDomain` is a mesh, not a proxy',
  hint: 'meshes come with `tulle control`, which this version does not have yet',
};

async function readBounded(file: string): Promise<Uint8Array | Problem> {
  try {
    const found = await stat(file);
    if (found.isDirectory()) return { ...A_MESH, message: 'a folder is a mesh, not a proxy' };
    if (found.size > BOUNDS.fileBytes) {
      return { code: 'TOO_LARGE', message: `the file has more than ${BOUNDS.fileBytes} bytes` };
    }
    const handle = await open(file);
    try {
      // One byte more than the bound tells a file that grew, or that has no size, such as a pipe.
      return await readUpTo(handle, BOUNDS.fileBytes + 1);
    } finally {
      await handle.close();
    }
  } catch (caught) {
    return explainUnreadable(caught);
  }
}

async function readUpTo(
  handle: Awaited<ReturnType<typeof open>>,
  limit: number,
): Promise<Uint8Array | Problem> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of handle.createReadStream({
    autoClose: false,
    end: limit,
  }) as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
  }
  if (length >= limit)
    return { code: 'TOO_LARGE', message: `the file has more than ${BOUNDS.fileBytes} bytes` };
  return Buffer.concat(chunks);
}

function explainUnreadable(caught: unknown): Problem {
  const code = systemCode(caught);
  if (code === undefined) throw caught;
  if (code === 'ENOENT') return { code: 'UNREADABLE', message: 'there is no such file' };
  if (code === 'EACCES') return { code: 'UNREADABLE', message: 'this user may not read the file' };
  return { code: 'UNREADABLE', message: `the file cannot be read: ${code}` };
}

function refuse(origin: { file: string; baseDir: string }, problem: Problem): Loaded {
  const diagnostic = toDiagnostic({ file: origin.file, place: () => null }, { ...problem, path: [] });
  return { config: null, source: null, baseDir: origin.baseDir, diagnostics: [diagnostic] };
}

function refuseEncoding(bytes: Uint8Array, origin: { file: string; baseDir: string }): Loaded {
  const before = new TextDecoder().decode(bytes).split('\uFFFD', 1)[0] ?? '';
  const lines = before.split('\n');
  const place = { line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
  const problem = { code: 'BAD_ENCODING', message: 'the file is not UTF-8', path: [] } as const;
  const diagnostic = toDiagnostic({ file: origin.file, place: () => place }, problem);
  return { config: null, source: null, baseDir: origin.baseDir, diagnostics: [diagnostic] };
}
