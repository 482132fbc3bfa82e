// Waits until a started process listens where it should, alone.

import type { Started } from './processes.js';
import { listening, strayListener } from './sockets.js';
import { RigError, until } from './tools.js';

/** Resolves once every port listens; throws {@link RigError} if the process ends first or somebody shares a port. */
export async function waitForPorts(
  started: Started,
  ports: readonly number[],
  seconds: number,
): Promise<void> {
  await until(`${started.name} listens on ${ports.join(', ')}`, seconds, () => {
    const ended = started.ended();
    if (ended !== undefined) throw new RigError(`${started.name} did not start: ${ended}`);
    const open = new Set(listening().map((socket) => socket.port));
    return ports.every((port) => open.has(port)) ? true : undefined;
  });
  for (const port of ports) {
    const stray = strayListener(port, started.pids());
    if (stray !== undefined) throw new RigError(`${started.name}: ${stray}`);
  }
}
