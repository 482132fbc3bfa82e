// What is wrong with a configuration, as values: one table of codes, one shape, two renderings (text and JSON).
// In: problems found by load, check and checkFiles. Out: lines that an operator reads where the file was written.

/** Every code, and what it stands for. A code is never reused for something else. */
export const DIAGNOSTIC_CODES = {
  UNREADABLE: 'The configuration file cannot be read.',
  TOO_LARGE: 'The file, its nesting or its number of values is beyond the bound.',
  BAD_ENCODING: 'The file is not UTF-8.',
  BAD_YAML: 'The file is not YAML, or uses a part of YAML that is refused.',
  DUPLICATE_KEY: 'A key is written twice in one map.',
  AMBIGUOUS_SCALAR: 'A bare word that other YAML readers take for a boolean stands where text belongs.',
  IS_A_MESH: 'The file or folder describes a mesh, not a proxy.',
  UNKNOWN_KEY: 'The key does not exist here.',
  MISSING_KEY: 'A key that is needed is not there.',
  BAD_TYPE: 'The value has the wrong type.',
  BAD_VALUE: 'The value is not one of those that are possible.',
  OUT_OF_RANGE: 'The number or size is outside its bounds.',
  BAD_DURATION: 'Not a duration.',
  BAD_SIZE: 'Not a size.',
  BAD_NAME: 'Not a name.',
  BAD_ADDRESS: 'Not an address, or not one that can be used here.',
  BAD_HOSTNAME: 'Not a host name.',
  BAD_PATH: 'Not a path, or one that no request can have.',
  BAD_REGEX: 'Not a regular expression of the supported syntax.',
  BAD_METHOD: 'Not a request method.',
  BAD_HEADER_NAME: 'Not a header name.',
  BAD_HEADER_VALUE: 'Not a header value.',
  RESERVED_HEADER: 'The header belongs to the proxy and cannot be edited.',
  BAD_COOKIE: 'Not the name of a cookie, or a value that no cookie has.',
  BAD_SPIFFE_ID: 'Not a SPIFFE ID, or one that can never fit.',
  BAD_TRUST_DOMAIN: 'Not a trust domain.',
  BAD_FILE_NAME: 'Not a file name.',
  CONFLICT: 'Keys that exclude each other, or the same thing said twice.',
  NO_EFFECT: 'The key would be without effect here.',
  DUPLICATE_NAME: 'A name is used twice.',
  PORT_CONFLICT: 'Two listeners want the same address.',
  ADMIN_NOT_LOOPBACK: 'An admin listener must bind a loopback address.',
  UNKNOWN_SERVICE: 'No service has this name.',
  BAD_SERVICE: 'The service takes something else than what is sent to it.',
  UNKNOWN_SUBSET: 'The service has no subset of this name.',
  UNKNOWN_LISTENER: 'No listener has this name.',
  BAD_LISTENER: 'The listener is of a kind that this cannot apply to.',
  NO_LISTENERS: 'Nothing would listen.',
  NO_ENDPOINTS: 'Nothing can be reached by this.',
  NO_BACKENDS: 'A rule has neither backends nor a redirect.',
  REDIRECT_AND_BACKENDS: 'A rule has both a redirect and backends.',
  WEIGHTS_SUM_ZERO: 'All weights of a rule are 0.',
  MUTUAL_WITHOUT_EXPECT: 'Mutual TLS upstream without the identities to expect.',
  INCOHERENT: 'Settings that together do something else than each of them says.',
  NEVER_FITS: 'A condition that no request can meet.',
  MISSING_FILE: 'A file that is named does not exist or cannot be read.',
  EXPOSED_KEY: 'A private key can be read by others.',
  NOT_SUPPORTED_YET: 'Part of the language, not yet built.',
} as const;

/** One of {@link DIAGNOSTIC_CODES}. */
export type DiagnosticCode = keyof typeof DIAGNOSTIC_CODES;

/** `error`: the configuration is refused. `warning`: it is taken, and probably not what was meant. */
export type Severity = 'error' | 'warning';

/** Keys and indices from the top of the configuration to a value. */
export type KeyPath = readonly (string | number)[];

/** A problem before its place in the file is known. */
export interface Problem {
  readonly code: DiagnosticCode;
  readonly message: string;
  /** What to do about it; empty where nothing helps. */
  readonly hint?: string;
}

/** One problem and where it stands. */
export interface Diagnostic {
  /** The file as it was named, or null for an object. */
  readonly file: string | null;
  /** From 1; null where there is no text to point at. */
  readonly line: number | null;
  /** From 1, in UTF-16 units; null where there is no text to point at. */
  readonly column: number | null;
  /** Such as `routes[0].rules[1].backends[0].service`; empty for the whole. */
  readonly path: string;
  readonly code: DiagnosticCode;
  /** One line, without control characters. */
  readonly message: string;
  readonly hint: string | null;
  readonly severity: Severity;
}

/** `routes[0].name`; a key that is not a plain word is quoted: `services["a b"]`. */
export function toPathText(path: KeyPath): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(key)) text += text === '' ? key : `.${key}`;
    else text += `[${JSON.stringify(key)}]`;
  }
  return text;
}

/** By file and place; problems of an object stay in the order in which they were found. */
export function sortDiagnostics(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return diagnostics.toSorted(
    (a, b) =>
      compare(a.file ?? '', b.file ?? '') ||
      (a.line ?? 0) - (b.line ?? 0) ||
      (a.column ?? 0) - (b.column ?? 0) ||
      (a.line === null ? 0 : compare(a.path, b.path) || compare(a.code, b.code)),
  );
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** One line each: `file:line:column  CODE  message  (hint)`, a warning marked; an object's have their path first. */
export function formatDiagnostics(diagnostics: readonly Diagnostic[]): string {
  return diagnostics.map((diagnostic) => `${formatDiagnostic(diagnostic)}\n`).join('');
}

function formatDiagnostic({ file, line, column, path, code, message, hint, severity }: Diagnostic): string {
  let place = path === '' ? 'configuration' : path;
  if (file !== null) place = line === null ? file : `${file}:${line}:${column}`;
  const mark = severity === 'warning' ? 'warning: ' : '';
  return `${place}  ${code}  ${mark}${message}${hint === null ? '' : `  (${hint})`}`;
}

/** Whether any of them refuses the configuration. */
export function hasErrors(diagnostics: readonly Diagnostic[]): boolean {
  return diagnostics.some(({ severity }) => severity === 'error');
}
