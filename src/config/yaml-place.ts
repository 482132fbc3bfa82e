// Finds where the key or value at a path stands in a parsed YAML document. Used only when there is something to say.

import { isAlias, isMap, isScalar, isSeq, type ParsedNode, type Scalar } from 'yaml';
import type { KeyPath } from './diagnostic.js';
import type { Target } from './source.js';

/** A parsed document, with what its aliases stand for. */
export interface NodeLinks {
  readonly root: ParsedNode;
  readonly aliased: WeakMap<object, ParsedNode>;
}

interface Step {
  /** The key's node; for an element of a list, the element itself. */
  readonly key: ParsedNode;
  /** Null where nothing is written behind the key. */
  readonly value: ParsedNode | null;
}

const indexes = new WeakMap<object, Map<string | number, Step>>();

/** The offset of the key or value at a path; of the last key on the way that is there, where it is missing. */
export function offsetOf(links: NodeLinks, path: KeyPath, target: Target): number {
  let step: Step = { key: links.root, value: links.root };
  for (const key of path) {
    const next = step.value === null ? undefined : childrenOf(links, step.value).get(key);
    if (next === undefined) return step.key.range[0];
    step = next;
  }
  return (target === 'key' ? step.key : (step.value ?? step.key)).range[0];
}

/** The scalar at a path, if there is one. */
export function scalarAt(links: NodeLinks, path: KeyPath): Scalar | undefined {
  let node: ParsedNode | null = links.root;
  for (const key of path) {
    if (node === null) return undefined;
    node = childrenOf(links, node).get(key)?.value ?? null;
  }
  const found = node === null ? null : resolve(links, node);
  return found !== null && isScalar(found) ? found : undefined;
}

function resolve(links: NodeLinks, node: ParsedNode): ParsedNode | null {
  let found: ParsedNode | undefined = node;
  while (found !== undefined && isAlias(found)) found = links.aliased.get(found);
  return found ?? null;
}

/** The steps from a map or list, indexed once: a file with many problems asks often. */
function childrenOf(links: NodeLinks, node: ParsedNode): Map<string | number, Step> {
  const target = resolve(links, node);
  if (target === null) return new Map();
  const known = indexes.get(target);
  if (known !== undefined) return known;
  const children = new Map<string | number, Step>();
  if (isMap<ParsedNode, ParsedNode | null>(target)) {
    for (const { key, value } of target.items) {
      if (isScalar(key) && typeof key.value === 'string' && !children.has(key.value)) {
        children.set(key.value, { key, value });
      }
    }
  } else if (isSeq(target)) {
    target.items.forEach((item, index) => {
      const element = item as ParsedNode;
      children.set(index, { key: element, value: element });
    });
  }
  indexes.set(target, children);
  return children;
}
