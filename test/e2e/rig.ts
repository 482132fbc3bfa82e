// Proxies inside the test's own process.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createProxy, type ProxyConfig, type TulleProxy } from '../../src/index.js';
import { type Running, runTulle, type Scope, startTulle, temporaryFolder } from '../process.js';
import { PATIENCE_MS } from './wire.js';

/** Nothing is added to heads: what goes upstream is what the client sent, rebuilt. */
export const BARE = { forwarded: 'off', requestId: false, trace: false, deadline: false } as const;

/** A proxy; ends with the scope, which fails where something panicked. */
export async function startProxy(scope: Scope, config: ProxyConfig): Promise<TulleProxy> {
  const proxy = createProxy(config);
  scope.teardown(async () => {
    const panics = proxy.version === null ? 0 : proxy.stats().panics;
    await proxy.close();
    if (panics !== 0) throw new Error(`${String(panics)} panics in the data plane`);
  });
  await proxy.start();
  return proxy;
}

/** One bare listener in front of one service, served by one worker. */
export function simple(port: number, endpoints: string[], more: Partial<ProxyConfig> = {}): ProxyConfig {
  return {
    workers: 1,
    listeners: { web: { address: `127.0.0.1:${port}`, headers: BARE } },
    services: { api: { endpoints, loadBalancing: { policy: 'round-robin' } } },
    routes: [{ name: 'all', rules: [{ backends: [{ service: 'api' }] }] }],
    ...more,
  };
}

/** A folder with what `tulle certs` makes; goes away with the scope. */
export async function certificates(scope: Scope): Promise<string> {
  const folder = temporaryFolder(scope);
  const { status, stderr } = await runTulle(scope, ['certs', folder]);
  if (status !== 0) throw new Error(stderr);
  return path.join(folder, 'certs');
}

/** Waits until no client is connected any more, as far as the proxy knows. */
export async function untilDeserted(proxy: TulleProxy): Promise<void> {
  interface Listener {
    readonly connections: { readonly active: number };
  }
  const busy = (): boolean =>
    (proxy.stats().listeners as Listener[]).some(({ connections }) => connections.active > 0);
  const end = Date.now() + PATIENCE_MS;
  while (busy()) {
    if (Date.now() > end) throw new Error(`still connected: ${JSON.stringify(proxy.stats().listeners)}`);
    await new Promise(setImmediate);
  }
}

/** A proxy in a process of its own, of which time and memory can be told apart from the test's. */
export interface ProxyProcess extends Running {
  /** Resident memory in bytes. */
  memory(): number;
  /** Processor time so far, in ms. */
  processor(): number;
}

/** Starts `tulle proxy` with this configuration; ends with the scope. */
export async function startProxyProcess(scope: Scope, config: ProxyConfig): Promise<ProxyProcess> {
  const file = path.join(temporaryFolder(scope), 'proxy.yaml');
  writeFileSync(file, JSON.stringify(config));
  const running = startTulle(scope, ['proxy', '--config', file]);
  await running.says(/^ready/m);
  const proc = (name: string): string => readFileSync(`/proc/${running.child.pid}/${name}`, 'utf8');
  return {
    ...running,
    memory: () => Number(/^VmRSS:\s+(\d+) kB/m.exec(proc('status'))?.[1]) * 1024,
    // The kernel counts in hundredths of a second; fields are counted behind the name, which may hold spaces.
    processor: () => {
      const fields = proc('stat')
        .replace(/^.*\) /s, '')
        .split(' ');
      return (Number(fields[11]) + Number(fields[12])) * 10;
    },
  };
}
