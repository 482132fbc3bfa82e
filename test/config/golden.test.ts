// Golden files: a configuration in, the snapshot or the diagnostics out. `UPDATE=1` writes what is expected.
// The data plane's tests read the same snapshots.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'tap';
import {
  DIAGNOSTIC_CODES,
  type Diagnostic,
  formatDiagnostics,
  hasErrors,
} from '../../src/config/diagnostic.js';
import { configSchema, configSchemaJson, type JsonSchema } from '../../src/config/json-schema.js';
import { type Loaded, loadConfigText } from '../../src/config/load.js';
import { compile, toSnapshotBytes } from '../../src/engine/compile.js';
import { FORMAT } from '../../src/engine/snapshot.generated.js';
import { root } from './root.js';

const golden = path.join(root, 'test/golden');
const examples = path.join(root, 'examples');
const OPTIONS = { baseDir: '/etc/tulle', defaultWorkers: 2 };

/** Codes that need a file system or a size that no golden file has. They are in load.test.ts. */
const TESTED_ELSEWHERE = ['UNREADABLE', 'BAD_ENCODING', 'MISSING_FILE', 'EXPOSED_KEY'];

const seen = new Set<string>();

function load(file: string): Loaded {
  const loaded = loadConfigText(readFileSync(file), { file: path.basename(file), baseDir: OPTIONS.baseDir });
  for (const { code } of loaded.diagnostics) seen.add(code);
  return loaded;
}

function expected(file: string, found: string): string {
  if (process.env.UPDATE !== undefined) writeFileSync(file, found);
  return readFileSync(file, 'utf8');
}

function yamlFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => path.join(folder, name));
}

const running = ['edge', 'hop-client', 'hop-server', 'tcp', 'canary', 'resilience'].map((name) =>
  path.join(examples, `${name}.yaml`),
);
const refused = [path.join(examples, 'mesh.yaml')];

test('a configuration compiles to its snapshot', async (t) => {
  for (const file of [...running, ...yamlFiles(golden)]) {
    const name = path.basename(file, '.yaml');
    const { config, diagnostics } = load(file);
    t.equal(formatDiagnostics(diagnostics), '', `${name} has no problems`);
    if (config === null) continue;
    const snapshot = compile(config, OPTIONS);
    const text = `${JSON.stringify(snapshot, null, 2)}\n`;
    t.equal(text, expected(path.join(golden, `${name}.snapshot.json`), text), `${name} compiles as before`);

    const again = load(file).config;
    const bytes = again === null ? null : toSnapshotBytes(compile(again, OPTIONS));
    t.same(bytes, toSnapshotBytes(snapshot), `${name} compiles to the same bytes twice`);
    t.equal(snapshot.format, FORMAT);
    t.match(snapshot.version, /^[0-9a-f]{12}$/);
  }
});

test('a broken configuration gets every diagnostic, where it is broken', async (t) => {
  for (const file of [...refused, ...yamlFiles(path.join(golden, 'broken'))]) {
    const name = path.basename(file, '.yaml');
    const { config, diagnostics } = load(file);
    const text = formatDiagnostics(diagnostics);
    t.equal(text, expected(path.join(golden, 'broken', `${name}.txt`), text), `${name} is told as before`);
    t.not(text, '', `${name} has diagnostics`);
    t.equal(config === null, hasErrors(diagnostics), `${name} has a configuration unless there is an error`);
    for (const diagnostic of diagnostics) {
      t.ok(pointsInto(file, diagnostic), `${name}: ${diagnostic.code} points into the text`);
    }
  }
});

function pointsInto(file: string, { line, column }: Diagnostic): boolean {
  const lines = readFileSync(file, 'utf8').split('\n');
  const text = lines[(line ?? 0) - 1];
  return text !== undefined && column !== null && column >= 1 && column <= text.length + 1;
}

test('every diagnostic code has a test', async (t) => {
  const untested = Object.keys(DIAGNOSTIC_CODES).filter((code) => !seen.has(code));
  t.same(untested.toSorted(), TESTED_ELSEWHERE.toSorted());
});

test('a diagnostic is JSON, too', async (t) => {
  const { diagnostics } = load(path.join(golden, 'broken/references.yaml'));
  t.same(JSON.parse(JSON.stringify(diagnostics[0])), {
    file: 'references.yaml',
    line: 7,
    column: 17,
    path: 'routes[0].listeners[0]',
    code: 'UNKNOWN_LISTENER',
    message: 'there is no listener `wbe`',
    hint: 'did you mean `web`?',
    severity: 'error',
  });
});

test('the JSON Schema for editors is current', async (t) => {
  const text = configSchemaJson();
  t.equal(text, expected(path.join(root, 'src/config/tulle.schema.json'), text), 'run `npm run generate`');
});

test('every map in the JSON Schema is closed or has names of its own, and says what it is', async (t) => {
  const open: string[] = [];
  const wordless: string[] = [];
  const visit = (schema: JsonSchema, at: string): void => {
    if (/\w$/.test(at) && (schema.description ?? '') === '') wordless.push(at);
    if (schema.type === 'object' && schema.additionalProperties === undefined) open.push(at);
    for (const [key, inner] of Object.entries(schema.properties ?? {})) visit(inner, `${at}.${key}`);
    if (typeof schema.additionalProperties === 'object') visit(schema.additionalProperties, `${at}.*`);
    if (schema.items !== undefined) visit(schema.items, `${at}[]`);
    for (const choice of schema.anyOf ?? []) visit(choice, `${at}|`);
  };
  visit(configSchema(), '');
  t.same(open, []);
  t.same(wordless, []);
});

test('the version follows the content', async (t) => {
  const versionOf = (text: string, options = OPTIONS): string => {
    const { config } = loadConfigText(Buffer.from(text), { file: 'x.yaml', baseDir: options.baseDir });
    return config === null ? 'refused' : compile(config, options).version;
  };
  const base = 'listeners: { web: { address: "127.0.0.1:1" } }';
  t.equal(
    versionOf(base),
    versionOf(`# a comment\n${base}\nservices: {}\n`),
    'comments and defaults change nothing',
  );
  t.not(versionOf(base), versionOf(base.replace(':1"', ':2"')), 'an address does');
  t.not(versionOf(base), versionOf(base, { ...OPTIONS, defaultWorkers: 3 }), 'so does the number of workers');
});
