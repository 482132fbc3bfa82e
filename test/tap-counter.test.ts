import t from 'tap';
import { createTapCounter } from './tap-counter.js';

function count(text: string) {
  const counter = createTapCounter();
  for (const line of text.split('\n')) counter.line(line);
  return counter.count;
}

t.test('assertions are counted where they are made, not again in the summaries', async (t) => {
  const found = count(`TAP version 14
# Subtest: outer
    # Subtest: inner
        ok 1 - a
        ok 2 - b
        1..2
    ok 1 - inner # time=1ms
    ok 2 - c
    1..2
ok 1 - outer # time=2ms
ok 2 - d
1..2`);
  t.same(found, { passed: 4, failed: 0, skipped: 0, failures: [] });
});

t.test('a failure is counted once and explained', async (t) => {
  const found = count(`# Subtest: outer
    not ok 1 - should be equal
      ---
      diff: |
        -1
        +2
      message: |
        not ok 7 - text that looks like a test point
      ...
    1..1
not ok 1 - outer # time=2ms
  ---
  at: somewhere
  ...
1..1`);
  t.match(found, { passed: 0, failed: 1, skipped: 0 });
  t.equal(found.failures.length, 1);
  t.match(found.failures[0], /should be equal[\s\S]*-1\n[\s\S]*\+2\n[\s\S]*looks like/);
  t.notMatch(found.failures[0], 'somewhere');
});

t.test('a summary that fails although its assertions passed is a failure', async (t) => {
  const found = count(`# Subtest: slow
    ok 1 - a
    1..1
not ok 1 - slow # time=30000ms
  ---
  expired: true
  ...
ok 2 - after`);
  t.match(found, { passed: 2, failed: 1 });
  t.match(found.failures[0], /slow[\s\S]*expired/);
});

t.test('an empty subtest and a bare failure count', async (t) => {
  t.match(count('not ok 1 - no assertions\n1..1'), { passed: 0, failed: 1 });
  t.match(count('not ok\nok'), { passed: 1, failed: 1 });
});

t.test('what is skipped or to do is neither passed nor failed', async (t) => {
  const found = count('ok 1 - a # SKIP no docker\nnot ok 2 - b # TODO\nok 3 - c # time=1ms');
  t.match(found, { passed: 1, failed: 0, skipped: 2 });
});

t.test('a bail-out is a failure', async (t) => {
  t.match(count('ok 1 - a\nBail out! no ports'), { passed: 1, failed: 1, failures: ['Bail out! no ports'] });
});

t.test('other output is ignored', async (t) => {
  t.match(count('okay then\nnothing is ok\n  ok with it\n1..0'), { passed: 0, failed: 0 });
});
