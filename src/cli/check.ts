// `tulle check`: every problem of every file, as an operator reads them or as JSON.

import { formatDiagnostics, hasErrors } from '../config/diagnostic.js';
import { loadSource } from '../engine/compile-source.js';
import { EXIT, type ExitCode, type GlobalOptions, printLine } from './output.js';

/** Checks the files in order; fails where one of them would be refused. */
export async function runCheck(files: readonly string[], { json }: GlobalOptions): Promise<ExitCode> {
  const results = [];
  for (const file of files) {
    const { diagnostics } = await loadSource({ file });
    results.push({ file, ok: !hasErrors(diagnostics), diagnostics });
  }
  if (json === true) {
    printLine(JSON.stringify({ files: results }));
  } else {
    for (const { file, ok, diagnostics } of results) {
      process.stdout.write(formatDiagnostics(diagnostics));
      if (ok) printLine(`${file}  ok`);
    }
  }
  return results.every(({ ok }) => ok) ? EXIT.ok : EXIT.failed;
}
