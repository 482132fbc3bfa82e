// `tulle bench`: the benchmark belongs to a checkout (it starts peers and builds on bench/), so this only starts it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { EXIT, type ExitCode, printProblem } from './output.js';

/** Runs the benchmark with the given arguments. */
export async function runBench(args: readonly string[]): Promise<ExitCode> {
  const root = path.dirname(createRequire(import.meta.url).resolve('tulle/package.json'));
  const main = path.join(root, 'build', 'bench', 'main.js');
  if (!existsSync(main)) {
    printProblem('tulle: the benchmark is part of a checkout: run `npm run bench` there');
    return EXIT.failed;
  }
  const child = spawn(process.execPath, [main, ...args], { stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code === 0 ? EXIT.ok : EXIT.failed;
}
