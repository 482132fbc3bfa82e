// Free ports for tests, below the range that the kernel hands out, so that no outgoing connection takes one away.
// Each process claims a block by listening on its first port for as long as it lives: no two processes share a block.

import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

const FIRST = 20_000;
const BLOCK = 40;
const BLOCKS = 290;

let claim: Server | undefined;
let next = 0;
let end = 0;

/** A port on 127.0.0.1 that nobody listens on, given once in this process. */
export async function freePort(): Promise<number> {
  for (;;) {
    if (next === end) await claimBlock();
    const port = next;
    next += 1;
    const probe = await tryListen(port);
    if (probe === undefined) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
}

/** Several of them. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

/** Starts at a block of this process's own, so that processes started together seldom meet. */
async function claimBlock(): Promise<void> {
  for (let tried = 0; tried < BLOCKS; tried += 1) {
    const block = (process.pid * 7 + tried) % BLOCKS;
    const first = FIRST + block * BLOCK;
    const server = await tryListen(first);
    if (server === undefined) continue;
    claim?.close();
    claim = server.unref();
    next = first + 1;
    end = first + BLOCK;
    return;
  }
  throw new Error(`no block of ports is free between ${FIRST} and ${FIRST + BLOCKS * BLOCK}`);
}

async function tryListen(port: number): Promise<Server | undefined> {
  const server = createServer().on('error', () => {});
  const listening = new Promise<boolean>((resolve) => {
    server.once('listening', () => resolve(true)).once('error', () => resolve(false));
  });
  server.listen({ port, host: '127.0.0.1', exclusive: true });
  return (await listening) ? server : undefined;
}
