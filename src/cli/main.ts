#!/usr/bin/env node
// The `tulle` command. In: the arguments. Out: an exit code (0 done, 1 failed, 2 used wrongly).

import { TulleError } from '../lib/errors.js';
import { EXIT, printProblem, tolerateClosedOutput } from './output.js';
import { createProgram, toUsageExit } from './program.js';

tolerateClosedOutput();
try {
  process.exitCode = EXIT.ok;
  await createProgram((code) => {
    process.exitCode = code;
  }).parseAsync();
} catch (caught) {
  const usage = toUsageExit(caught);
  if (usage === undefined) printProblem(`tulle: ${TulleError.from(caught).message}`);
  process.exitCode = usage ?? EXIT.failed;
}
