// The README's tables, made from the code that they describe. In: the sources of the data plane, the JSON Schema, the
// command line. Out: Markdown, which docs.test.ts compares with what the README says.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Command, Option } from 'commander';
import { createProgram } from '../../src/cli/program.js';
import { configSchema, type JsonSchema, schemasAt } from '../../src/config/json-schema.js';
import { KEY_KINDS } from '../../src/config/schema/key.js';
import { root } from '../process.js';

const telemetry = 'native/proxy/src/telemetry';

/** Every table by the name that the README gives its place. */
export const TABLES: Readonly<Record<string, () => string>> = {
  commands,
  pages,
  reasons,
  'parser-codes': parserCodes,
  'log-fields': logFields,
  configuration,
};

function source(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}

function commands(): string {
  const program = createProgram(() => {});
  const row = (name: string, { options }: Command): string[] => [name, options.map(optionText).join('; ')];
  const rows = program.commands.map((command) => {
    const operands = command.registeredArguments.map((argument) => {
      const text = `${argument.name().toUpperCase()}${argument.variadic ? '…' : ''}`;
      return ` ${argument.required ? text : `[${text}]`}`;
    });
    const [name = '', options = ''] = row(`\`tulle ${command.name()}${operands.join('')}\``, command);
    return [name, command.description(), options];
  });
  const [name = '', options = ''] = row('all of them', program);
  return table(['command', 'what it does', 'options'], [...rows, [name, '', options]]);
}

function optionText({ flags, description, argChoices }: Option): string {
  const choices = argChoices === undefined ? '' : ` (${argChoices.join(', ')})`;
  return `\`${flags}\` ${description}${choices}`;
}

function pages(): string {
  const found = [
    ...source(`${telemetry}/admin.rs`).matchAll(
      /path: "(\/\w+)",\s+admin_only: (true|false),\s+about: "([^"]+)"/g,
    ),
  ];
  return table(
    ['page', 'listener', 'what it says'],
    found.map(([, page, adminOnly, about]) => [
      `\`${page}\``,
      adminOnly === 'true' ? '`admin`' : '`admin`, `probes`',
      about ?? '',
    ]),
  );
}

/** The reasons that some step gives. The table in the source has a few more, for steps that are not built yet. */
function reasons(): string {
  // One that stands in a pattern is looked at there, not given.
  const given = dataPlane().matchAll(/\bReason::(\w+)\b(?!\s*(?:\||=>))/g);
  const used = new Set([...given].map(([, name]) => name).filter((name) => name !== 'Ok'));
  const rows = [
    ...source(`${telemetry}/reason.rs`).matchAll(
      /^ {4}\/\/\/ (.+)\n(?: {4}#\[default\]\n)?^ {4}(\w+) = "(\w+)", (\d+), \d+, "[A-Z-]+", (\w+);$/gm,
    ),
  ].filter(([, , name]) => used.has(name));
  return table(
    ['code', 'status', 'caused by', 'when'],
    rows.map(([, about = '', , code, status, side = '']) => [
      `\`${code}\``,
      status === '0' ? '–' : `${status}`,
      side === 'None' ? '–' : side.toLowerCase(),
      about,
    ]),
  );
}

/** The data plane without its table of reasons and its unit tests. */
function dataPlane(): string {
  const folder = path.join(root, 'native/proxy/src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.rs') && !name.endsWith('telemetry/reason.rs'))
    .map((name) => readFileSync(path.join(folder, name), 'utf8').replace(/#\[cfg\(test\)\][\s\S]*/, ''))
    .join('\n');
}

function parserCodes(): string {
  const byStatus = new Map<string, string[]>();
  for (const [, status = '', code] of source('native/decide/src/http/fault.rs').matchAll(
    /^ {4}[A-Z0-9_]+ = (\d+) "(\w+)";$/gm,
  )) {
    byStatus.set(status, [...(byStatus.get(status) ?? []), `\`${code}\``]);
  }
  return [...byStatus]
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .map(([status, codes]) => `- ${status}: ${codes.join(', ')}`)
    .join('\n');
}

function logFields(): string {
  const text = source(`${telemetry}/log/line.rs`);
  const fieldsOf = (name: string): string[] => {
    const body =
      new RegExp(`\\nfn ${name}\\([\\s\\S]*?\\n}\\n`).exec(text.replace('pub(super) fn', 'fn'))?.[0] ?? '';
    return [...body.matchAll(/line\.\w+\(\s*"(\w+)"|^ {4}(names|request)\(&mut line/gm)].flatMap(
      ([, field, inner]) => (inner === undefined ? [`\`${field}\``] : fieldsOf(inner)),
    );
  };
  return `${fieldsOf('render').join(', ')}; each of \`attempts\` has ${fieldsOf('attempts').join(', ')}.`;
}

/** What this version takes, beyond what the examples show. `*` is the name of a listener or service. */
const CONFIGURED = [
  'workers',
  'drain',
  'accessLog.requests',
  'accessLog.file',
  'zone',
  'listeners.*.shared',
  'listeners.*.forwardIdentity',
  'listeners.*.encodedSlash',
  'listeners.*.pathParameters',
  'listeners.*.upgrade',
  'listeners.*.connect',
  'listeners.*.headers',
  'listeners.*.limits',
  'listeners.*.timeouts',
  'listeners.*.proxyProtocol',
  'listeners.*.tls.minVersion',
  'services.*.sendProxyProtocol',
  'services.*.connectTimeout',
  'services.*.endpoints.0.weight',
  'services.*.loadBalancing',
  'services.*.loadBalancing.affinity',
  'services.*.pool',
  'services.*.limits',
  'services.*.limits.endpoint',
  'services.*.limits.adaptive',
  'services.*.healthCheck',
  'services.*.outlierDetection',
  'services.*.outlierDetection.successRate',
  'services.*.tls.serverName',
  'services.*.tls.trustBundle',
  'routes.0.rules.0.timeouts',
  'routes.0.rules.0.retry',
  'routes.0.rules.0.retry.backoff',
  'routes.0.rules.0.retry.budget',
  'routes.0.rules.0.retry.hedge',
  'routes.0.rules.0.priority',
  'routes.0.rules.0.sticky',
  'routes.0.rules.0.backends.0.fallback',
  'routes.0.rules.0.filters.0.mirror',
  'routes.0.rules.0.filters.0.fault.delay',
  'routes.0.rules.0.filters.0.fault.abort',
  'routes.0.rules.0.filters.0.fault.bandwidth',
  'routes.0.rules.0.filters.0.rateLimit',
];

function configuration(): string {
  const rows = CONFIGURED.flatMap((key) => {
    const { properties = {} } = schemaOf(key);
    const inner = Object.keys(properties);
    if (inner.length === 0 || inner.join() === KEY_KINDS.join()) return [key];
    return inner.map((name) => `${key}.${name}`);
  }).filter((key) => !isAlwaysThere(schemaOf(key)));
  return table(
    ['key', 'default', 'what it is'],
    rows.map((key) => {
      const [about = '', inWords] = (propertyOf(key).description ?? '').split(/ ?Default[^:]*: /);
      const written = defaultOf(propertyOf(key));
      const words = isNeeded(key) ? 'needed' : (inWords ?? 'none').replace(/\.$/, '');
      const name = key.replace('routes.0.rules.0.', 'rules[].').replaceAll('.0.', '[].');
      return [`\`${name}\``, written === undefined ? words : `\`${written}\``, about];
    }),
  );
}

function toSteps(key: string): (string | number)[] {
  return key.split('.').map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}

/** What a key holds; the first alternative, where there is a choice. */
function schemaOf(key: string): Described {
  const [schema = configSchema()] = schemasAt(toSteps(key));
  return schema;
}

/** A key as its map describes it, with all alternatives. */
function propertyOf(key: string): Described {
  const steps = toSteps(key);
  return parentOf(key).properties?.[String(steps.at(-1))] ?? schemaOf(key);
}

function parentOf(key: string): Described {
  const [schema = configSchema()] = schemasAt(toSteps(key).slice(0, -1));
  return schema;
}

type Described = JsonSchema & { readonly default?: unknown; readonly required?: readonly string[] };

/** A map that is there with its defaults also where it is not written: its keys have rows of their own. */
function isAlwaysThere({ properties, default: found }: Described): boolean {
  return properties !== undefined && found !== undefined;
}

function isNeeded(key: string): boolean {
  return parentOf(key).required?.includes(String(toSteps(key).at(-1))) === true;
}

/** What the schema says applies where nothing is written. */
function defaultOf(schema: Described): string | undefined {
  const found = schema.default;
  if (found === undefined) return undefined;
  if (Array.isArray(found)) return `[${found.join(', ')}]`;
  return typeof found === 'object' ? JSON.stringify(found) : String(found);
}
