// How endpoints are picked: a key for the policies that hash, and only for them; weights by label within their bound.

import type { Cursor } from '../cursor.js';
import { DEFAULTS } from '../defaults.js';
import { KEY_KINDS } from '../schema/key.js';
import {
  hasLabels,
  type Report,
  type RuleContext,
  reportNoEffect,
  reportNoLabels,
  reportUnlessOne,
} from './rule.js';

const MAX_WEIGHT = 1_000_000;

/** Whether a policy goes by a key of the request. */
export function isHashPolicy(policy: string | undefined): boolean {
  return policy === 'ring-hash' || policy === 'maglev';
}

/** Reports what is wrong with a service's `loadBalancing`. */
export function balancingRules({ root, report }: RuleContext, service: Cursor): void {
  const balancing = service.at('loadBalancing');
  checkKey(report, balancing);
  checkWeights(report, service);
  for (const preferZone of balancing.present(['preferZone'])) {
    if (preferZone.value !== true || root.at('zone').exists) continue;
    const message = '`preferZone` needs to know where this proxy is';
    report(
      preferZone,
      { code: 'MISSING_KEY', message, hint: 'zone: NAME at the top of the file' },
      { target: 'key' },
    );
  }
  if (service.at('protocol').text !== 'tcp') return;
  const why = 'a tcp service reads no requests';
  const unread = balancing.at('key').present(['header', 'cookie', 'path']);
  reportNoEffect(report, unread, { why, hint: 'use `source` or `identity`' });
  reportNoEffect(report, balancing.present(['affinity']), { why });
}

function checkKey(report: Report, balancing: Cursor): void {
  const policy = balancing.at('policy').text ?? DEFAULTS.service.balancing;
  const key = balancing.at('key');
  reportUnlessOne(report, key, KEY_KINDS);
  if (isHashPolicy(policy)) {
    if (key.exists) return;
    const message = `\`${policy}\` needs a \`key\`: what of a request does it go by?`;
    const hint = `one of ${KEY_KINDS.join(', ')}: key: { header: NAME }`;
    report(balancing.at('policy'), { code: 'MISSING_KEY', message, hint });
    return;
  }
  const why = `\`${policy}\` does not look at requests`;
  reportNoEffect(report, balancing.present(['key']), { why, hint: 'policy: ring-hash or maglev' });
}

function checkWeights(report: Report, service: Cursor): void {
  const entries = service.at('loadBalancing').at('weights').items();
  const endpoints = service.at('endpoints').items();
  for (const entry of entries) {
    const labels = entry.at('labels');
    reportNoLabels(report, labels, 'the weight');
    if (labels.entries().length === 0 || endpoints.some((endpoint) => hasLabels(endpoint, labels))) continue;
    const message = 'no endpoint has these labels: the weight is without effect';
    const hint = 'labels as they stand beside an address, or leave the weight out';
    report(labels, { code: 'NO_ENDPOINTS', message, hint }, { severity: 'warning' });
  }
  for (const endpoint of endpoints) {
    const weight = weightOf(endpoint, entries);
    if (entries.length === 0 || weight <= MAX_WEIGHT) continue;
    const message = `the weight of this endpoint, times those of its labels, is ${weight}: above ${MAX_WEIGHT}`;
    report(endpoint, { code: 'OUT_OF_RANGE', message, hint: 'divide the weights by a common number' });
  }
}

/** The weight of an endpoint times those of its labels. */
export function weightOf(endpoint: Cursor, entries: readonly Cursor[]): number {
  return entries
    .filter((entry) => hasLabels(endpoint, entry.at('labels')))
    .reduce(
      (product, entry) => product * (entry.at('weight').number ?? 1),
      endpoint.at('weight').number ?? DEFAULTS.weight,
    );
}
