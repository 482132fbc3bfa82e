// Reads YAML 1.2 and refuses its traps: duplicate keys, tags, merge keys, alias bombs, keys that are not text.
// In: the text of one file. Out: a Source with the place of every key and value, and what is wrong with the text.
// Before: loadConfigFile reads the bytes. After: check.

import { isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument } from 'yaml';
import { BOUNDS, FORBIDDEN_KEYS } from './bounds.js';
import type { Diagnostic, KeyPath, Problem } from './diagnostic.js';
import { type Source, type Target, toDiagnostic } from './source.js';
import { type NodeLinks, offsetOf, scalarAt } from './yaml-place.js';

/** What became of a text: `source` is null where nothing can be made of it. */
export interface YamlResult {
  readonly source: Source | null;
  readonly diagnostics: readonly Diagnostic[];
}

/** Reads one YAML document. `origin.file` is what diagnostics call it. */
export function readYaml(text: string, origin: { file: string; baseDir: string }): YamlResult {
  const lines = new LineCounter();
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const at = (offset: number, problem: Problem): Diagnostic =>
    toDiagnostic({ file: origin.file, place: () => place(offset) }, { ...problem, path: [] });

  let document: ReturnType<typeof parseDocument>;
  try {
    document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
      version: '1.2',
      schema: 'core',
      merge: false,
      // `silent` would also silence the complaint about a second document.
      logLevel: 'error',
    });
  } catch (caught) {
    if (!(caught instanceof RangeError)) throw caught;
    return { source: null, diagnostics: [at(0, TOO_DEEP)] };
  }
  const broken = complaints(document).map(({ offset, ...problem }) => at(offset, problem));
  if (broken.length > 0) return { source: null, diagnostics: broken };
  if (document.contents === null) {
    return { source: null, diagnostics: [at(0, { code: 'BAD_YAML', message: 'the file is empty' })] };
  }

  const root = document.contents as ParsedNode;
  const reader = new TreeReader();
  const value = reader.read(root, []);
  const links: NodeLinks = { root, aliased: reader.aliased };
  const source: Source = {
    ...origin,
    value,
    place: (path: KeyPath, target: Target) => place(offsetOf(links, path, target)),
    isPlain: (path: KeyPath) => scalarAt(links, path)?.type === 'PLAIN',
  };
  const diagnostics = reader.traps.map(({ offset, ...problem }) => at(offset, problem));
  return { source: reader.gaveUp ? null : source, diagnostics };
}

const TOO_DEEP: Problem = {
  code: 'TOO_LARGE',
  message: `maps and lists are nested deeper than ${BOUNDS.depth}`,
};

/** Says the parser's commonest complaints in the words of people who write configuration. */
function explain(code: string, message: string): { message: string; hint?: string } {
  switch (code) {
    case 'TAB_AS_INDENT':
      return { message: 'a tab is used to indent', hint: 'indent with spaces' };
    case 'MULTIPLE_DOCS':
      return {
        message: 'the file holds several documents',
        hint: 'one configuration to a file, without `---` between',
      };
    case 'IMPOSSIBLE':
      return { message: 'the map that ends here cannot be read', hint: 'is a key no plain text?' };
    case 'TAG_RESOLVE_FAILED':
      return { message: 'tags (`!…`) are not used here', hint: 'leave the tag out' };
    default:
      return { message: message.split('\n', 1)[0] ?? message };
  }
}

/** What is wrong with the text itself; one is enough where the parser ran out of stack. */
function complaints(document: ReturnType<typeof parseDocument>): Trap[] {
  const { errors, warnings, directives } = document;
  const exhausted = errors.find(({ code }) => code === 'RESOURCE_EXHAUSTION');
  if (exhausted !== undefined) return [{ ...TOO_DEEP, offset: exhausted.pos[0] }];
  const found: Trap[] = [...errors, ...warnings].map(({ code, message, pos }) => ({
    offset: pos[0],
    code: 'BAD_YAML',
    ...explain(code, message),
  }));
  const version = directives?.yaml;
  if (version?.explicit === true && version.version !== '1.2') {
    const message = `YAML ${version.version} is not read`;
    found.push({ offset: 0, code: 'BAD_YAML', message, hint: 'leave the %YAML line out' });
  }
  return found;
}

interface Trap extends Problem {
  readonly offset: number;
}

/** Turns nodes into plain values and notes the traps it meets; the offending parts are left out of the value. */
class TreeReader {
  readonly traps: Trap[] = [];
  /** What each alias stands for. */
  readonly aliased = new WeakMap<object, ParsedNode>();
  /** True once a bound was passed: the value is incomplete then. */
  gaveUp = false;
  readonly #anchors = new Map<string, ParsedNode>();
  readonly #open = new Set<object>();
  #values = 0;
  #aliases = 0;

  read(node: ParsedNode | null, path: KeyPath): unknown {
    if (node === null || this.gaveUp) return null;
    this.#values += 1;
    if (this.#values > BOUNDS.values) return this.#giveUp(node, `more than ${BOUNDS.values} values`);
    if (path.length > BOUNDS.depth) return this.#giveUp(node, TOO_DEEP.message);
    if (isAlias(node)) return this.#follow(node, path);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    if (node.tag !== undefined) this.#trap(node, 'tags (`!…`) are not used here', 'leave the tag out');
    if (isScalar(node)) return node.value;
    this.#open.add(node);
    const value = isSeq(node)
      ? node.items.map((item, index) => this.read(item as ParsedNode, [...path, index]))
      : this.#map(node, path);
    this.#open.delete(node);
    return value;
  }

  #map(node: ParsedNode, path: KeyPath): unknown {
    const map: Record<string, unknown> = Object.create(null);
    if (!isMap<ParsedNode, ParsedNode | null>(node)) return map;
    for (const { key, value } of node.items) {
      const name = this.#key(key ?? node);
      if (name === undefined) continue;
      if (Object.hasOwn(map, name)) {
        this.traps.push({
          offset: key.range[0],
          code: 'DUPLICATE_KEY',
          message: `\`${name}\` is written twice in this map`,
        });
        continue;
      }
      map[name] = this.read(value, [...path, name]);
    }
    return map;
  }

  #key(node: ParsedNode): string | undefined {
    if (!isScalar(node) || typeof node.value !== 'string') {
      this.#trap(node, 'a key is not text', 'put quotes around it');
      return undefined;
    }
    if (node.tag !== undefined || node.anchor !== undefined) {
      this.#trap(node, 'a key has a tag or an anchor', 'leave it out');
    }
    if (node.value === '<<') {
      this.#trap(
        node,
        'merge keys (`<<`) are not used here',
        'write the keys out, or give the whole value an anchor',
      );
      return undefined;
    }
    if (FORBIDDEN_KEYS.has(node.value)) {
      this.#trap(node, `\`${node.value}\` cannot be a key`);
      return undefined;
    }
    return node.value;
  }

  #follow(alias: ParsedNode, path: KeyPath): unknown {
    if (!isAlias(alias)) return null;
    this.#aliases += 1;
    if (this.#aliases > BOUNDS.aliases) return this.#giveUp(alias, `more than ${BOUNDS.aliases} aliases`);
    const target = this.aliased.get(alias) ?? this.#anchors.get(alias.source);
    if (target === undefined) {
      this.#trap(alias, `there is no anchor \`&${alias.source}\` before this`);
      return null;
    }
    if (this.#open.has(target)) {
      this.#trap(alias, `\`*${alias.source}\` stands for something that contains it`);
      return null;
    }
    this.aliased.set(alias, target);
    return this.read(target, path);
  }

  #trap(node: ParsedNode, message: string, hint?: string): void {
    const problem = { offset: node.range[0], code: 'BAD_YAML', message } as const;
    this.traps.push(hint === undefined ? problem : { ...problem, hint });
  }

  #giveUp(node: ParsedNode, message: string): null {
    this.gaveUp = true;
    this.traps.push({ offset: node.range[0], code: 'TOO_LARGE', message });
    return null;
  }
}
