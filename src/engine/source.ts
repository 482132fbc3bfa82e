// Where a configuration is compiled. In: a file's name or a configuration object. Out: what the data plane takes, or a
// TulleError with every problem. After: proxy.ts starts or applies it.
// A file is compiled in a process of its own: the schema and the YAML parser hold more memory than everything else that
// a proxy is, and a process gives all of it back (a thread leaves 4 MB behind). An object is compiled where its program
// runs.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Diagnostic, formatDiagnostics } from '../config/diagnostic.js';
import { TulleError } from '../lib/errors.js';
import type { CompiledSource } from './compile-source.js';
import { type Compiled, isFile, type ProxySource } from './compiled.js';

/** How a source is read. */
export interface SourceOptions {
  /** Folder that file names in a configuration object are relative to; default the current one. */
  readonly baseDir?: string;
  /** Called with what is not wrong, but probably not meant. */
  readonly onWarning?: (diagnostics: readonly Diagnostic[]) => void;
}

/** Compiles a source; throws `CONFIG_INVALID` with every diagnostic where there is an error among them. */
export async function compileSource(source: ProxySource, options: SourceOptions): Promise<Compiled> {
  const { compiled, diagnostics } = isFile(source)
    ? await compileApart(source.file)
    : await (await import('./compile-source.js')).compileHere(source, options.baseDir);
  if (compiled === null) {
    throw new TulleError('CONFIG_INVALID', formatDiagnostics(diagnostics).trimEnd(), { diagnostics });
  }
  if (diagnostics.length > 0) options.onWarning?.(diagnostics);
  return compiled;
}

function compileApart(file: string): Promise<CompiledSource> {
  return new Promise((resolve, reject) => {
    const compiler = fork(fileURLToPath(new URL('./compile-process.js', import.meta.url)), [file], {
      execArgv: [],
      // Bytes as bytes.
      serialization: 'advanced',
    });
    compiler.once('message', (message) => resolve(message as CompiledSource));
    compiler.once('error', reject);
    compiler.once('exit', (code, signal) =>
      reject(new TulleError('INTERNAL', `compiling ${file} ended with ${signal ?? code}`)),
    );
  });
}
