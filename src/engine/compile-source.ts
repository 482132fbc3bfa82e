// From what a user hands in to what the data plane takes: load, check, look for the files, compile.
// In: a file's name or a configuration object. Out: a compiled configuration, or every problem. It draws in the schema
// and the YAML parser, which a running proxy needs for moments only: see source.ts for where it runs.

import { type Diagnostic, hasErrors, sortDiagnostics } from '../config/diagnostic.js';
import { checkFiles } from '../config/files.js';
import { type Loaded, loadConfigFile, loadConfigObject } from '../config/load.js';
import { compile, toSnapshotBytes } from './compile.js';
import { type Compiled, isFile, type ProxySource } from './compiled.js';
import { countCores, readSystemFile } from './cores.js';
import type { Listener, Snapshot } from './snapshot.generated.js';

/** What came of a source: `compiled` is null exactly when there is an error among the diagnostics. */
export interface CompiledSource {
  readonly compiled: Compiled | null;
  readonly diagnostics: readonly Diagnostic[];
}

/** Loads and checks a source, the files that it names included. */
export async function loadSource(source: ProxySource, baseDir?: string): Promise<Loaded> {
  const loaded = isFile(source) ? await loadConfigFile(source.file) : loadConfigObject(source, baseDir);
  const diagnostics = sortDiagnostics([...loaded.diagnostics, ...(await checkFiles(loaded))]);
  return { ...loaded, diagnostics, config: hasErrors(diagnostics) ? null : loaded.config };
}

/** Loads, checks and compiles on this thread. */
export async function compileHere(source: ProxySource, baseDir?: string): Promise<CompiledSource> {
  const { config, baseDir: folder, diagnostics } = await loadSource(source, baseDir);
  if (config === null) return { compiled: null, diagnostics };
  const snapshot = compile(config, { baseDir: folder, defaultWorkers: countCores(readSystemFile) });
  return { compiled: toCompiled(snapshot), diagnostics };
}

/** What a client of the listener has to speak first. */
function toScheme({ kind, tls }: Listener): string {
  switch (kind) {
    case 'http':
    case 'admin':
    case 'probes':
      return tls === null ? 'http' : 'https';
    case 'tls-passthrough':
      return 'tls';
    case 'tcp':
      return tls === null ? 'tcp' : 'tls';
    case 'auto':
      return 'tcp';
  }
}

function toCompiled(snapshot: Snapshot): Compiled {
  const endpoints = snapshot.services.flatMap((service) => service.endpoints);
  return {
    bytes: toSnapshotBytes(snapshot),
    version: snapshot.version,
    drainMs: snapshot.drainMs,
    schemes: Object.fromEntries(snapshot.listeners.map((listener) => [listener.name, toScheme(listener)])),
    dnsNames: endpoints.map(({ address }) => address).filter((address) => address.kind === 'dns'),
  };
}
