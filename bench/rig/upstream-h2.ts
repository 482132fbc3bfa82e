// The upstream for HTTP/2 and gRPC: native/proxy/examples/upstream.rs on the load's core, with the same answers as the
// other one, and a page of the same form that counts them.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Fleet } from './processes.js';
import { projectRoot, RigError } from './tools.js';
import { Counter, counted, type Upstream, type UpstreamPlace } from './upstream.js';
import { waitForPorts } from './waiting.js';

/** Starts it and waits until it listens. Messages of a stream count as requests. */
export async function startUpstreamH2(fleet: Fleet, place: UpstreamPlace): Promise<Upstream> {
  const program = join(projectRoot(), 'build/bench-upstream');
  if (!existsSync(program)) throw new RigError(`${program} is missing: run npm run build -- --all`);
  const [port, status] = [place.ports.take(), place.ports.take()];
  const command = [program, String(port), String(status)];
  const { folder, core } = place;
  const started = fleet.start(command, { name: 'upstream-h2', folder, core });
  await waitForPorts(started, [port, status], 10);
  return { port, others: [], tlsPort: undefined, ...counted(started, new Counter(status)) };
}
