// Checks a configuration as it was read: the schema, then what no schema says (references, duplicates, contradictions).
// In: a Source. Out: a typed configuration with its defaults, or every problem with its place.
// Before: load. After: compile.

import type { z } from 'zod';
import { Cursor } from './cursor.js';
import { type Diagnostic, hasErrors, sortDiagnostics } from './diagnostic.js';
import { toFindings } from './issues.js';
import { authorizationRules } from './rules/authorization.js';
import { coherenceRules } from './rules/coherence.js';
import { listenerRules } from './rules/listeners.js';
import { routeRules } from './rules/routes.js';
import type { Report, RuleContext } from './rules/rule.js';
import { scalarRules } from './rules/scalars.js';
import { serviceRules } from './rules/services.js';
import { unsupportedRules } from './rules/unsupported.js';
import { type CheckedConfig, proxy } from './schema/proxy.js';
import { type Finding, type Source, toDiagnostic } from './source.js';

/** What check made of a source. `config` is null exactly when there is an error among the diagnostics. */
export interface Checked {
  readonly config: CheckedConfig | null;
  /** In the order of the file. */
  readonly diagnostics: readonly Diagnostic[];
}

const RULES = [
  scalarRules,
  listenerRules,
  serviceRules,
  routeRules,
  authorizationRules,
  coherenceRules,
  unsupportedRules,
];

/** Checks a source; `earlier` is what reading it already found. */
export function check(source: Source, earlier: readonly Diagnostic[] = []): Checked {
  const findings: Finding[] = [];
  const report: Report = (cursor, problem, place = {}) => {
    findings.push({ ...problem, ...place, path: cursor.path });
  };
  const parsed: z.ZodSafeParseResult<CheckedConfig> = proxy.safeParse(source.value);
  if (!parsed.success) findings.push(...toFindings(parsed.error.issues, source.value));
  const root = new Cursor(source.value);
  const context: RuleContext = {
    root,
    listeners: new Map(root.at('listeners').entries()),
    services: new Map(root.at('services').entries()),
    source,
    report,
  };
  for (const rules of RULES) rules(context);

  const refused = new Set(earlier.map(toPlaceText));
  const diagnostics = sortDiagnostics([
    ...earlier,
    ...findings
      .map((finding) => toDiagnostic(source, finding))
      // A value that could not be read was left empty: that it is empty is not a second problem.
      .filter((diagnostic) => diagnostic.code !== 'BAD_TYPE' || !refused.has(toPlaceText(diagnostic))),
  ]);
  return { config: parsed.success && !hasErrors(diagnostics) ? parsed.data : null, diagnostics };
}

function toPlaceText({ line, column, path }: Diagnostic): string {
  return line === null ? path : `${line}:${column}`;
}
