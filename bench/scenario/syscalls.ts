// System calls per request at 32 connections, in a run of its own under strace, which slows everybody down.

import { join } from 'node:path';
import { countCalls } from '../measure/strace.js';
import { problemOf } from '../measure/window.js';
import { startWrk } from '../measure/wrk.js';
import { progress } from '../report/progress.js';
import type { SyscallResult } from '../report/results.js';
import type { Running } from '../rig/running.js';
import { pause } from '../rig/tools.js';
import { type Context, messageOf, note, startChecked, stopAll } from './scenario.js';

const CONNECTIONS = 32;

/** Runs the scenario if it was asked for. */
export async function syscalls(context: Context): Promise<void> {
  if (!context.options.scenarios.includes('syscalls')) return;
  for (const scenario of ['h1', 'tls'] as const) {
    for (const peer of context.peers) {
      progress(`syscalls (${scenario})  ${peer.name}`);
      const ready = await startChecked(context, peer, {
        shape: scenario === 'tls' ? 'tls' : 'http',
        label: peer.name,
      });
      if (ready === undefined) continue;
      await measure(context, ready.running, scenario).catch((error: unknown) =>
        note(context, `syscalls (${scenario}) of ${peer.name} failed: ${messageOf(error)}`),
      );
      await stopAll(context, [ready]);
    }
  }
}

async function measure(context: Context, running: Running, scenario: 'h1' | 'tls'): Promise<void> {
  const { bench, options, results } = context;
  const pids = running.pids();
  const url = `${running.plan.secure ? 'https' : 'http'}://127.0.0.1:${running.plan.front}/1k`;
  const job = { url, connections: CONNECTIONS, script: undefined, core: bench.machine.loadCore };
  const first = await bench.upstream.count();
  const wrk = startWrk(job, (child) => void bench.fleet.adopt(child, 'wrk'));
  await pause(options.warmUp);
  const output = join(bench.folder, `strace-${scenario}-${running.label}`);
  const { calls, result } = await countCalls(bench.fleet, { pids, output }, async () => {
    const before = await bench.upstream.count();
    await pause(options.quick ? 1 : 3);
    const after = await bench.upstream.count();
    return after.requests - before.requests;
  });
  const report = await wrk.stop();
  await pause(0.1);
  const upstream = (await bench.upstream.count()).requests - first.requests;
  const problem = problemOf(report, { upstream, inFlight: CONNECTIONS });
  if (problem !== undefined)
    return note(context, `syscalls (${scenario}) of ${running.label} are void: ${problem}`);
  results.syscalls.push(resultOf({ scenario, peer: running.label }, calls, result));
}

function resultOf(
  of: Pick<SyscallResult, 'scenario' | 'peer'>,
  calls: ReadonlyMap<string, number>,
  requests: number,
): SyscallResult {
  const each = [...calls]
    .map(([name, count]) => [name, count / requests] as const)
    .sort((a, b) => b[1] - a[1]);
  const perRequest = each.reduce((total, [, count]) => total + count, 0);
  return {
    ...of,
    perRequest,
    requests,
    byName: Object.fromEntries(each.filter(([, count]) => count >= 0.005)),
  };
}
