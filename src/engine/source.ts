// From what a user hands in to what the data plane takes: load, check, look for the files, compile.
// In: a file's name or a configuration object. Out: a snapshot, or every problem. After: proxy.ts starts or applies it.

import { type Diagnostic, formatDiagnostics, hasErrors, sortDiagnostics } from '../config/diagnostic.js';
import { checkFiles } from '../config/files.js';
import { type Loaded, loadConfigFile, loadConfigObject, type ProxyConfig } from '../config/load.js';
import { TulleError } from '../lib/errors.js';
import { compile } from './compile.js';
import { countCores, readSystemFile } from './cores.js';
import type { Snapshot } from './snapshot.generated.js';

/** A configuration: written out, or the file that holds it. */
export type ProxySource = ProxyConfig | { readonly file: string };

/** How a source is read. */
export interface SourceOptions {
  /** Folder that file names in a configuration object are relative to; default the current one. */
  readonly baseDir?: string;
  /** Called with what is not wrong, but probably not meant. */
  readonly onWarning?: (diagnostics: readonly Diagnostic[]) => void;
}

/** Loads and checks a source, the files that it names included. */
export async function loadSource(source: ProxySource, { baseDir }: SourceOptions = {}): Promise<Loaded> {
  const loaded = isFile(source) ? await loadConfigFile(source.file) : loadConfigObject(source, baseDir);
  const diagnostics = sortDiagnostics([...loaded.diagnostics, ...(await checkFiles(loaded))]);
  return { ...loaded, diagnostics, config: hasErrors(diagnostics) ? null : loaded.config };
}

/** Compiles a source; throws `CONFIG_INVALID` with every diagnostic where there is an error among them. */
export async function toSnapshot(source: ProxySource, options: SourceOptions): Promise<Snapshot> {
  const { config, baseDir, diagnostics } = await loadSource(source, options);
  if (config === null) {
    throw new TulleError('CONFIG_INVALID', formatDiagnostics(diagnostics).trimEnd(), { diagnostics });
  }
  if (diagnostics.length > 0) options.onWarning?.(diagnostics);
  return compile(config, { baseDir, defaultWorkers: countCores(readSystemFile) });
}

/** Programs without types may hand in anything: what is no object is refused by the check. */
function isFile(source: ProxySource): source is { readonly file: string } {
  return typeof source === 'object' && source !== null && 'file' in source && typeof source.file === 'string';
}
