// Splits over backends: shares that are nothing, shares that fail, and clients that would not stay where they belong.

import type { Cursor } from '../../cursor.js';
import { toPathText } from '../../diagnostic.js';
import { backendWeight, type Coherence, headerOf, serviceOf } from './warn.js';

/** The smallest share that a split is for: 0.01 %. */
const SMALLEST_SHARE = 10_000;

/** Warns about the backends of a rule, or of a listener below HTTP. */
export function splitWarnings(coherence: Coherence, rule: Cursor): void {
  const backends = rule.at('backends').items();
  const used = backends.filter((backend) => backendWeight(backend) > 0);
  const sum = used.reduce((total, backend) => total + backendWeight(backend), 0);
  for (const backend of used) {
    shareWarnings(coherence, backend, { sum, isSplit: used.length > 1 });
    fallbackWarnings(coherence, backend, used);
  }
  const sticky = rule.at('sticky');
  if (sticky.exists && backends.length > 0 && used.length < 2) {
    const message = 'everything goes to one backend: there is nothing to stick to';
    coherence.warn(sticky, { message, hint: 'leave `sticky` out, or add a second backend' });
  }
  if (used.length > 1) oneKeyWarnings(coherence, rule);
  sameWarnings(coherence, used);
  affinityWarnings(coherence, rule, used);
}

/** A backend that is there again is no part of its own. */
function sameWarnings({ source, warn }: Coherence, used: readonly Cursor[]): void {
  const seen = new Map<string, Cursor>();
  for (const backend of used) {
    const service = backend.at('service').text;
    if (service === undefined) continue;
    const key = JSON.stringify([service, backend.at('subset').text]);
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, backend);
      continue;
    }
    const place = source.place(first.path, 'value');
    const where = place === null ? '' : ` (${place.line}:${place.column})`;
    const message = `the same as \`${toPathText(first.path)}\`${where}: both shares go to one place`;
    const sum = backendWeight(first) + backendWeight(backend);
    warn(backend, { message, hint: `another \`service\` or \`subset\`, or \`weight: ${sum}\` there` });
  }
}

/** Where every request that matches has the same key, one backend gets them all. */
function oneKeyWarnings({ warn }: Coherence, rule: Cursor): void {
  const sticky = rule.at('sticky');
  const values = rule
    .at('matches')
    .items()
    .map((match) => keyOf(sticky, match));
  const [value] = values;
  if (value === undefined || new Set(values).size > 1) return;
  const message = `every request that matches has the key ${JSON.stringify(value)}: one backend gets all of them`;
  warn(sticky, { message, hint: 'go by what differs between requests, or leave `sticky` out' });
}

/** The key of all requests that a match takes, where it says that. */
function keyOf(sticky: Cursor, match: Cursor): string | undefined {
  if (sticky.at('path').value === true) return match.at('path').at('exact').text;
  const { text: cookie } = sticky.at('cookie');
  if (cookie !== undefined) return match.at('cookies').at(cookie).text;
  const { text: header } = sticky.at('header');
  return header === undefined ? undefined : headerOf(match.at('headers'), header);
}

function shareWarnings(
  coherence: Coherence,
  backend: Cursor,
  { sum, isSplit }: { sum: number; isSplit: boolean },
): void {
  const weight = backendWeight(backend);
  if (weight * SMALLEST_SHARE < sum) {
    const message = `${weight} of ${sum} is one in ${Math.round(sum / weight)}: hardly anything comes here`;
    const hint = `weight: ${Math.ceil(sum / SMALLEST_SHARE)} is 0.01 %`;
    coherence.warn(backend.at('weight').exists ? backend.at('weight') : backend, { message, hint });
  }
  const name = backend.at('subset').text;
  const service = serviceOf(coherence, backend);
  if (name === undefined || service === undefined || backend.at('fallback').value === true) return;
  const percent = Number(((weight / sum) * 100).toPrecision(3));
  const share = percent === 100 ? 'what comes' : `${percent} % of what comes`;
  // That a subset is empty is said at the subset, too: here it counts where others would have served.
  if (isSplit && service.emptySubsets.has(name)) {
    const message = `${share} finds no endpoint: the subset \`${name}\` has none`;
    const hint = 'weight: 0, fallback: true, or an endpoint with its labels';
    coherence.warn(backend.at('subset'), { message, hint });
  }
  if (!service.drainingSubsets.has(name)) return;
  const message = `${share} finds no endpoint: all those of the subset \`${name}\` have the weight 0`;
  const hint = 'weight: 0 or fallback: true here, or an endpoint with a weight';
  coherence.warn(backend.at('subset'), { message, hint });
}

function fallbackWarnings({ warn }: Coherence, backend: Cursor, used: readonly Cursor[]): void {
  const fallback = backend.at('fallback');
  if (fallback.value !== true || used.length > 1) return;
  const message = 'no sibling has a weight: there is nowhere to fall back to';
  warn(fallback, { message, hint: 'a backend beside it with a weight above 0, or leave `fallback` out' });
}

/** An affinity cookie names an endpoint; a split may lead to where that endpoint is not. */
function affinityWarnings(coherence: Coherence, rule: Cursor, used: readonly Cursor[]): void {
  const sticky = rule.at('sticky');
  const seen = new Set<string>();
  for (const backend of used) {
    const name = backend.at('service').text ?? '';
    const cookie = serviceOf(coherence, backend)?.affinityCookie;
    if (cookie === undefined) continue;
    if (sticky.at('cookie').text === cookie && used.length > 1) {
      const message = `the cookie \`${cookie}\` is the affinity cookie of \`${name}\`: it changes with the endpoint, and the split with it`;
      coherence.warn(sticky.at('cookie'), {
        message,
        hint: 'go by another cookie, a header, or the identity',
      });
      return;
    }
    if (seen.has(name) && !sticky.exists) {
      const message = `each request draws its part of \`${name}\` anew, and the affinity cookie \`${cookie}\` names an endpoint of one part`;
      coherence.warn(rule.at('backends'), {
        message,
        hint: 'add `sticky`, so that a client stays with one part',
      });
      return;
    }
    seen.add(name);
  }
}
