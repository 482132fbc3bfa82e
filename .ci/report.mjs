// The closing line of `npm test`: what each suite came to, added up.
// In: suites as they end. Out: a line for each, the explanation of each failure, and `N passed, N failed`.
import { say } from './steps.mjs';

/** Sums of all suites; with `strict` a skipped test is a failure (where CI is set, nothing may be left out). */
export function createReport({ strict }) {
  const sum = { passed: 0, failed: 0 };
  return {
    /**
     * One suite's end. `failures` explains; `output` is shown in addition where the suite failed without one.
     */
    add({ name, seconds, passed, failed, skipped, failures, output }) {
      const missed = strict ? skipped : 0;
      sum.passed += passed;
      sum.failed += failed + missed;
      const parts = [`${passed} passed`];
      if (failed > 0) parts.push(`${failed} failed`);
      if (skipped > 0) parts.push(`${skipped} skipped`);
      say(`${failed + missed > 0 ? 'FAIL' : 'ok  '} ${name}  ${parts.join(', ')}  ${seconds.toFixed(1)} s`);
      for (const failure of failures) say(`     ${failure.replaceAll('\n', '\n     ')}`);
      if (failed > 0 && output) say(output.trimEnd().replace(/^/gm, '     | '));
    },
    /** Prints the closing line; returns the exit code: 1 where anything failed, or nothing ran. */
    close() {
      process.stdout.write(`${sum.passed} passed, ${sum.failed} failed\n`);
      return sum.failed > 0 || sum.passed === 0 ? 1 : 0;
    },
  };
}
