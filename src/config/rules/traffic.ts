// What shapes a rule's traffic: keys of one kind, waits in order, faults that have a part, copies that can be sent.

import { toDuration } from '../../lib/duration.js';
import type { Cursor } from '../cursor.js';
import { DEFAULTS } from '../defaults.js';
import { backoffMaxOf, toMs } from '../effective.js';
import { KEY_KINDS } from '../schema/key.js';
import {
  checkProtocol,
  checkService,
  type Report,
  type RuleContext,
  reportNoEffect,
  reportSameHeader,
  reportUnlessOne,
} from './rule.js';

/** Reports what is wrong with what shapes a rule's traffic. */
export function trafficRules(context: RuleContext, rule: Cursor): void {
  const { report } = context;
  checkBackoff(report, rule.at('retry').at('backoff'));
  reportUnlessOne(report, rule.at('sticky'), KEY_KINDS);
  for (const filter of rule.at('filters').items()) {
    const mirror = filter.at('mirror');
    checkService(context, mirror.at('service'), mirror.at('subset'));
    checkProtocol(context, mirror.at('service'), 'requests');
    checkFault(report, filter.at('fault'));
    checkRateLimit(report, filter.at('rateLimit'));
  }
}

function checkBackoff(report: Report, backoff: Cursor): void {
  const base = backoff.at('base').ms ?? toMs(DEFAULTS.route.backoffBase);
  const max = backoffMaxOf({ base, max: backoff.at('max').ms });
  if (base <= max) return;
  const message = `the first wait, ${toDuration(base)}, is longer than the longest, ${toDuration(max)}`;
  report(backoff.at('max'), { code: 'CONFLICT', message });
}

function checkFault(report: Report, fault: Cursor): void {
  if (!fault.isMap) return;
  reportSameHeader(report, fault.at('headers'));
  if (fault.present(['delay', 'abort', 'bandwidth']).length > 0) return;
  report(fault, { code: 'MISSING_KEY', message: 'a `fault` needs `delay`, `abort` or `bandwidth`' });
}

function checkRateLimit(report: Report, limit: Cursor): void {
  reportUnlessOne(report, limit.at('key'), KEY_KINDS);
  if (limit.at('key').exists) return;
  const why = 'without a `key` there is one limit for all requests';
  reportNoEffect(report, limit.present(['keys']), { why });
}
