// What must be true of a soak, however long it was.

import type { Test } from 'tap';
import { type SoakResult, soak, type Usage } from './soak.js';

const KINDS = 12;

/** Runs a soak and asserts what was seen. */
export async function checkSoak(t: Test, seconds: number): Promise<void> {
  const seen = await soak(t, seconds);
  t.comment(summary(seen));
  t.same(seen.failures, [], 'every request that had to be answered was');
  t.equal(Object.keys(seen.answered).length, KINDS, 'every kind of client got something done');
  t.ok(seen.reloads >= seconds / 4, `${seen.reloads} reloads`);
  t.ok(seen.rotations >= 1, `${seen.rotations} rotations`);
  t.equal(seen.certificates, seen.rotations + 1, 'clients were shown each certificate');
  const [early, late] = [most(seen.usage, 0), most(seen.usage, 2)];
  t.ok(
    late.rssKb < early.rssKb * 1.2 + 8_192,
    `memory: at most ${early.rssKb} KB early, ${late.rssKb} KB late`,
  );
  t.ok(late.rssKb < 200 * 1_024, 'under 200 MB in all');
  const { before, after } = seen.idle;
  t.ok(
    after.descriptors <= before.descriptors + 2,
    `files and sockets: ${before.descriptors} before, ${after.descriptors} after`,
  );
  t.ok(after.threads <= before.threads + 1, `threads: ${before.threads} before, ${after.threads} after`);
  t.match(seen.metrics, /^tulle_panics_total 0$/m);
  t.match(
    seen.metrics,
    new RegExp(`^tulle_config_reloads_total\\{result="applied"\\} ${seen.reloads}$`, 'm'),
  );
  t.equal(seen.exit, 0);
}

/** The most of each within one third of the samples. */
function most(usage: readonly Usage[], third: number): Usage {
  const size = Math.ceil(usage.length / 3);
  const part = usage.slice(third * size, (third + 1) * size);
  const of = (pick: (sample: Usage) => number): number => Math.max(...part.map(pick));
  return {
    rssKb: of(({ rssKb }) => rssKb),
    descriptors: of(({ descriptors }) => descriptors),
    threads: of(({ threads }) => threads),
  };
}

function summary({ answered, reloads, rotations, certificates, idle }: SoakResult): string {
  return JSON.stringify({ answered, reloads, rotations, certificates, idle });
}
