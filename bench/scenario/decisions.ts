// What single decisions cost, without sockets: picking an endpoint, building a table, a rate limit. Criterion measures;
// this runs it and reads what it wrote.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { progress } from '../report/progress.js';
import type { Decision } from '../report/results.js';
import { projectRoot, RigError } from '../rig/tools.js';
import type { Context } from './scenario.js';

const BENCHES = ['balance', 'rate_limit'] as const;

/** Runs the scenario if it was asked for. */
export async function decisions({ options, results }: Context): Promise<void> {
  if (!options.scenarios.includes('decisions')) return;
  const root = projectRoot();
  const target = join(root, 'native', 'target');
  const written = join(target, 'criterion');
  rmSync(written, { recursive: true, force: true });
  progress('decisions (criterion; two minutes, and one more to compile)');
  const said = await cargoBench(root, target);
  results.decisions.push(...readDecisions(written), ...readMemory(said));
}

async function cargoBench(root: string, target: string): Promise<string> {
  const benches = BENCHES.flatMap((name) => ['--bench', name]);
  const args = ['bench', '--locked', '--quiet', '-p', 'tulle-decide', ...benches, '--', '--quick'];
  const env = { ...process.env, CARGO_TARGET_DIR: target };
  const child = spawn('cargo', args, { cwd: join(root, 'native'), env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code] = await once(child, 'close');
  if (code !== 0)
    throw new RigError(`cargo bench ended with ${code}: ${said.trim().split('\n').at(-1) ?? ''}`);
  return said;
}

/** Reads each `new/benchmark.json` and the estimates beside it, by title. */
export function readDecisions(folder: string): Decision[] {
  const found: Decision[] = [];
  const visit = (at: string): void => {
    const title = join(at, 'benchmark.json');
    if (at.endsWith(`${'/'}new`) && existsSync(title)) {
      const { title: name } = JSON.parse(readFileSync(title, 'utf8')) as { title: string };
      const { mean } = JSON.parse(readFileSync(join(at, 'estimates.json'), 'utf8')) as {
        mean: { point_estimate: number };
      };
      found.push({ name, value: mean.point_estimate, unit: 'ns' });
      return;
    }
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      if (entry.isDirectory()) visit(join(at, entry.name));
    }
  };
  if (existsSync(folder)) visit(folder);
  return found.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
}

/** What the rate limiter's keys cost, as its program says. */
export function readMemory(said: string): Decision[] {
  const lines = new Map(
    [...said.matchAll(/^(\d+) keys: (\d+) bytes a key$/gm)].map(([, keys, bytes]) => [keys, Number(bytes)]),
  );
  return [...lines].map(([keys, value]) => ({
    name: `rate limit, memory of ${keys} keys`,
    value,
    unit: 'B a key',
  }));
}
