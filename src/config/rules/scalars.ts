// Bare words that YAML 1.1 takes for booleans (`yes`, `off`, `n`) where free text belongs: other tools would read the
// same file differently, so they must be quoted. Words of the language itself (`requests: off`) are not meant.

import type { Cursor } from '../cursor.js';
import type { RuleContext } from './rule.js';

const AMBIGUOUS = /^(y|n|yes|no|on|off)$/i;

/** Reports ambiguous words among labels, headers, cookies and query parameters. */
export function scalarRules({ root, source, report }: RuleContext): void {
  for (const map of freeText(root)) {
    for (const [, cursor] of map.entries()) {
      if (cursor.text === undefined || !AMBIGUOUS.test(cursor.text) || !source.isPlain(cursor.path)) continue;
      report(cursor, {
        code: 'AMBIGUOUS_SCALAR',
        message: `a bare \`${cursor.text}\` is a boolean to other YAML readers`,
        hint: `put quotes around it: "${cursor.text}"`,
      });
    }
  }
}

function freeText(root: Cursor): Cursor[] {
  const services = root
    .at('services')
    .entries()
    .map(([, service]) => service);
  const rules = root
    .at('routes')
    .items()
    .flatMap((route) => route.at('rules').items());
  const matches = rules.flatMap((rule) => rule.at('matches').items());
  const filters = rules.flatMap((rule) => rule.at('filters').items());
  const edits = filters.flatMap((filter) => [filter.at('requestHeaders'), filter.at('responseHeaders')]);
  return [
    ...services.flatMap((service) =>
      service
        .at('endpoints')
        .items()
        .map((endpoint) => endpoint.at('labels')),
    ),
    ...services.flatMap((service) =>
      service
        .at('subsets')
        .entries()
        .map(([, subset]) => subset),
    ),
    ...services.flatMap((service) =>
      service
        .at('loadBalancing')
        .at('weights')
        .items()
        .map((entry) => entry.at('labels')),
    ),
    ...matches.flatMap((match) => [match.at('headers'), match.at('query'), match.at('cookies')]),
    ...filters.map((filter) => filter.at('fault').at('headers')),
    ...edits.flatMap((edit) => [edit.at('set'), edit.at('add')]),
  ];
}
