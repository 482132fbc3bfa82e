// `npm run bench`: Tulle beside nginx, HAProxy and Envoy on this machine. In: the command line; out: a table, JSON under
// bench/results/ and bench/chart.svg. Everything it starts ends with it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchOptions, type PeerName, parseOptions, USAGE, UsageError } from './options.js';
import { envoy } from './peers/envoy.js';
import { haproxy } from './peers/haproxy.js';
import { nginx } from './peers/nginx.js';
import type { Peer } from './peers/peer.js';
import { tulle } from './peers/tulle.js';
import { tulleBare } from './peers/tulle-bare.js';
import { endProgress, progress, silenceProgress } from './report/progress.js';
import { type Facts, publish } from './report/publish.js';
import { emptyResults } from './report/results.js';
import { makeCertificates } from './rig/certificates.js';
import { setCongestion } from './rig/congestion.js';
import { type Machine, takeMachine } from './rig/machine.js';
import { installPackages } from './rig/packages.js';
import { Ports } from './rig/ports.js';
import { Fleet } from './rig/processes.js';
import { RigError } from './rig/tools.js';
import { startUpstream } from './rig/upstream.js';
import { startUpstreamH2 } from './rig/upstream-h2.js';
import { blocked } from './scenario/blocked.js';
import { decisions } from './scenario/decisions.js';
import { idleFeatures } from './scenario/idle-features.js';
import { latency } from './scenario/latency.js';
import { memory } from './scenario/memory.js';
import { overload } from './scenario/overload.js';
import { resilience } from './scenario/resilience.js';
import { routes } from './scenario/routes.js';
import { type Context, messageOf, note } from './scenario/scenario.js';
import { syscalls } from './scenario/syscalls.js';
import { throughput } from './scenario/throughput.js';

const PEER_OF: Readonly<Record<PeerName, Peer>> = { tulle, nginx, haproxy, envoy, 'tulle-bare': tulleBare };

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  installPackages(options.peers);
  const machine = takeMachine();
  const folder = mkdtempSync(join(tmpdir(), 'tulle-bench-'));
  const fleet = new Fleet();
  const congestion = setCongestion();
  const cleanUp = () => {
    fleet.killNow();
    congestion.restore();
    rmSync(folder, { recursive: true, force: true });
  };
  process.on('exit', cleanUp);
  try {
    const measured = measure(options, { fleet, folder, machine, congestion: congestion.text });
    return publish(await Promise.race([measured, interruption()]), options);
  } finally {
    await fleet.stopAll();
    cleanUp();
  }
}

/** Somebody pressed Ctrl-C or sent a signal. */
class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** Rejects at the first signal; the second ends this program at once, and what it started with it. */
function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    let seen = false;
    const stop = (signal: string) => {
      if (seen) process.exit(130);
      seen = true;
      endProgress();
      silenceProgress();
      reject(new Interrupted(`stopped by ${signal}`));
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  });
}

async function measure(
  options: BenchOptions,
  place: { fleet: Fleet; folder: string; machine: Machine; congestion: string },
): Promise<Facts> {
  const { fleet, folder, machine } = place;
  const ports = new Ports();
  const certificates = makeCertificates(folder);
  const { loadCore: core, fileLimit } = machine;
  const at = { folder, ports, core, fileLimit, certificate: certificates.edge };
  const [upstream, upstreamH2] = [await startUpstream(fleet, at), await startUpstreamH2(fleet, at)];
  const bench = { folder, fleet, ports, machine, certificates, upstream, upstreamH2 };
  const results = emptyResults();
  const versions = new Map<string, string>();
  const peers = options.peers
    .map((name) => PEER_OF[name])
    .filter((peer) => {
      try {
        versions.set(peer.name, peer.version());
        return true;
      } catch (error) {
        results.notes.push(`${peer.name} left out: ${messageOf(error)}`);
        return false;
      }
    });
  const context: Context = { bench, options, peers, results };
  const started = new Date();
  const scenarios = [
    throughput,
    latency,
    blocked,
    syscalls,
    memory,
    routes,
    decisions,
    idleFeatures,
    resilience,
    overload,
  ];
  for (const scenario of scenarios) {
    try {
      await scenario(context);
    } catch (error) {
      note(context, `${scenario.name} failed: ${messageOf(error)}`);
    }
    await fleet.stopOthers([...upstream.pids(), ...upstreamH2.pids()]);
  }
  upstream.close();
  upstreamH2.close();
  progress('done');
  endProgress();
  return { results, options, versions, started, machine: machine.text, congestion: place.congestion };
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  endProgress();
  const expected = error instanceof UsageError || error instanceof RigError || error instanceof Interrupted;
  if (!expected) throw error;
  process.stderr.write(`${error.message}\n`);
  // At once: an interrupted scenario still waits for processes that are gone.
  process.exit(error instanceof UsageError ? 2 : error instanceof Interrupted ? 130 : 1);
}
