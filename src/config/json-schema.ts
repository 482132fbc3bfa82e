// The language as JSON Schema, for editors and for the words in diagnostics.
// In: the zod schemas. Out: src/config/tulle.schema.json, which a test keeps current.

import { z } from 'zod';
import { proxy } from './schema/proxy.js';

/** The parts of JSON Schema that zod writes and diagnostics read. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly examples?: readonly unknown[];
}

let cached: JsonSchema | undefined;

/** The schema of what people write; made once. */
export function configSchema(): JsonSchema {
  cached ??= z.toJSONSchema(proxy, { io: 'input', target: 'draft-7' }) as JsonSchema;
  return cached;
}

/** The same as the text of a file. */
export function configSchemaJson(): string {
  return `${JSON.stringify({ title: 'Tulle proxy configuration', ...configSchema() }, null, 2)}\n`;
}

/** What the language allows at a path: several, where there is a choice; none, where the path leads nowhere. */
export function schemasAt(path: readonly PropertyKey[]): JsonSchema[] {
  let found = alternatives(configSchema());
  for (const key of path) found = found.flatMap((schema) => alternatives(stepInto(schema, key)));
  return found;
}

function stepInto(schema: JsonSchema, key: PropertyKey): JsonSchema | undefined {
  if (typeof key === 'number') return schema.items;
  const name = String(key);
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, name))
    return schema.properties[name];
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

function alternatives(schema: JsonSchema | undefined): JsonSchema[] {
  if (schema === undefined) return [];
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(alternatives);
}
