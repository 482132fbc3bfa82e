import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import t from 'tap';
import { createProxy, type ProxyConfig, TulleError, type TulleProxy } from '../../src/index.js';
import { request, startUpstream } from '../http.js';
import { freePort, freePorts } from '../ports.js';
import { type Scope, temporaryFolder } from '../process.js';

function config(upstream: number, port = 0): ProxyConfig {
  return {
    workers: 1,
    listeners: { web: { address: `127.0.0.1:${port}` } },
    services: { api: { endpoints: [`127.0.0.1:${upstream}`] } },
    routes: [{ name: 'all', rules: [{ backends: [{ service: 'api' }] }] }],
  };
}

/** A proxy that is closed when the scope is over. */
function proxyFor(scope: Scope, ...args: Parameters<typeof createProxy>): TulleProxy {
  const proxy = createProxy(...args);
  scope.teardown(() => proxy.close());
  return proxy;
}

function url(proxy: TulleProxy): string {
  return proxy.addresses[0]?.url ?? 'none';
}

t.test('starts, serves, applies, counts and closes', async (t) => {
  const [a = 0, b = 0, port = 0] = await freePorts(3);
  await startUpstream(t, { port: a, name: 'a' });
  await startUpstream(t, { port: b, name: 'b' });
  const proxy = proxyFor(t, config(a, port));
  t.same(proxy.addresses, []);
  t.equal(proxy.version, null);
  await proxy.start();
  t.same(proxy.addresses, [{ name: 'web', address: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` }]);
  t.match(proxy.version, /^[0-9a-f]{12}$/);
  t.match(await request(url(proxy)), { status: 200, body: 'a' });

  const before = proxy.version;
  await proxy.apply(config(b, port));
  t.not(proxy.version, before);
  t.equal((await request(url(proxy))).body, 'b');
  t.type(proxy.stats(), 'object');

  await proxy.close();
  await t.rejects(request(`http://127.0.0.1:${port}`), { code: 'ECONNREFUSED' });
  await proxy.close();
});

t.test('a port of 0 takes a free one, and says which', async (t) => {
  const upstream = await freePort();
  await startUpstream(t, { port: upstream, name: 'a' });
  const proxy = proxyFor(t, config(upstream));
  await proxy.start();
  t.not(url(proxy), 'http://127.0.0.1:0');
  t.equal((await request(url(proxy))).body, 'a');
});

t.test('a refused configuration leaves everything as it was', async (t) => {
  const upstream = await freePort();
  await startUpstream(t, { port: upstream, name: 'a' });
  const proxy = proxyFor(t, config(upstream));
  await proxy.start();
  const { version } = proxy;
  const broken = {
    ...config(upstream),
    routes: [{ name: 'all', rules: [{ backends: [{ service: 'nobody' }] }] }],
  };
  const caught = await proxy.apply(broken).catch((cause: unknown) => cause);
  t.ok(caught instanceof TulleError);
  t.match(caught, {
    code: 'CONFIG_INVALID',
    diagnostics: [{ code: 'UNKNOWN_SERVICE', path: 'routes[0].rules[0].backends[0].service' }],
  });
  t.equal(proxy.version, version);
  t.equal((await request(url(proxy))).body, 'a');
});

t.test('what is no configuration is refused with diagnostics, whatever it is', async (t) => {
  for (const given of [null, undefined, 5, 'edge.yaml', [], {}, { file: 5 }, () => {}]) {
    const proxy = proxyFor(t, given as unknown as ProxyConfig);
    const caught = await proxy.start().catch((cause: unknown) => cause);
    t.match(caught, { code: 'CONFIG_INVALID' }, String(given));
    t.ok((caught as TulleError).diagnostics.length > 0, String(given));
  }
  const missing = proxyFor(t, { file: `${temporaryFolder(t)}/none.yaml` });
  await t.rejects(missing.start(), { code: 'CONFIG_INVALID', diagnostics: [{ code: 'UNREADABLE' }] });
});

t.test('a listener that somebody holds is an error that names it', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  const first = proxyFor(t, config(upstream, port));
  await first.start();
  const second = proxyFor(t, config(upstream, port));
  await t.rejects(second.start(), { code: 'ENGINE_REFUSED', message: /listener web.*/ });
});

t.test('calls out of order are errors, not crashes', async (t) => {
  const proxy = proxyFor(t, config(await freePort()));
  t.throws(() => proxy.stats(), { code: 'BAD_STATE' });
  await t.rejects(proxy.apply(config(1)), { code: 'BAD_STATE' });
  await t.rejects(proxy.drain(), { code: 'BAD_STATE' });
  const started = proxy.start();
  await t.rejects(proxy.start(), { code: 'BAD_STATE' });
  await started;
  await proxy.close();
  await t.rejects(proxy.start(), { code: 'BAD_STATE' });
  await t.rejects(proxy.apply(config(1)), { code: 'BAD_STATE' });
  const unstarted = createProxy(config(1));
  await unstarted.close();
  await t.rejects(unstarted.start(), { code: 'BAD_STATE' });
});

t.test('closing while starting closes', async (t) => {
  const port = await freePort();
  const proxy = createProxy(config(1, port));
  const started = proxy.start();
  await proxy.close();
  await started.catch(() => {});
  await t.rejects(request(`http://127.0.0.1:${port}`), { code: 'ECONNREFUSED' });
});

t.test('drain waits for what is in flight, at most as long as it is told', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  const { seen } = await startUpstream(t, { port: upstream, name: 'slow', delayMs: 600 });
  const proxy = proxyFor(t, config(upstream, port));
  await proxy.start();
  const answer = request(url(proxy));
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  t.equal(await proxy.drain(50), false, 'still in flight');
  t.equal(await proxy.drain(5_000), true);
  t.equal((await answer).body, 'slow');
});

t.test('names are resolved before the first request', async (t) => {
  const upstream = await freePort();
  await startUpstream(t, { port: upstream, name: 'a' });
  const named = { ...config(upstream), services: { api: { endpoints: [{ dns: `localhost:${upstream}` }] } } };
  const proxy = proxyFor(t, named);
  await proxy.start();
  t.match(await request(url(proxy)), { status: 200, body: 'a' });
});

t.test('changes under load fail no request', async (t) => {
  const [port = 0, a = 0, b = 0] = await freePorts(3);
  await startUpstream(t, { port: a, name: 'a' });
  await startUpstream(t, { port: b, name: 'b' });
  const proxy = proxyFor(t, config(a, port));
  await proxy.start();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  t.teardown(() => agent.destroy());
  let over = false;
  const bodies = new Set<string>();
  let answered = 0;
  const client = async (): Promise<void> => {
    while (!over) {
      const { status, body } = await request(url(proxy), { agent });
      if (status !== 200) throw new Error(`${status} ${body}`);
      bodies.add(body);
      answered += 1;
    }
  };
  const clients = Promise.all(Array.from({ length: 8 }, client));
  for (let change = 0; change < 20; change += 1) {
    await proxy.apply(config(change % 2 === 0 ? b : a, port));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  over = true;
  await clients;
  t.same([...bodies].sort(), ['a', 'b']);
  t.ok(answered > 100, `${answered} answers`);
});

t.test('several in one process do not know of each other', async (t) => {
  const [a = 0, b = 0] = await freePorts(2);
  await startUpstream(t, { port: a, name: 'a' });
  await startUpstream(t, { port: b, name: 'b' });
  const [first, second] = [proxyFor(t, config(a)), proxyFor(t, config(b))];
  await Promise.all([first.start(), second.start()]);
  t.equal((await request(url(first))).body, 'a');
  t.equal((await request(url(second))).body, 'b');
  await first.close();
  t.equal((await request(url(second))).body, 'b');
});

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

/** A number of /proc/self/status. */
function status(name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

t.test('a hundred starts and closes leak no thread, no file and little memory', async (t) => {
  const upstream = await freePort();
  await startUpstream(t, { port: upstream, name: 'a' });
  const once = async (): Promise<void> => {
    const proxy = createProxy(config(upstream));
    await proxy.start();
    t.equal((await request(url(proxy))).body, 'a');
    await proxy.close();
  };
  for (let round = 0; round < 10; round += 1) await once();
  const before = { files: openFiles(), threads: status('Threads'), anonymousKb: status('RssAnon') };
  for (let round = 0; round < 100; round += 1) await once();
  // The upstream's side of closed connections goes away a moment later.
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.ok(openFiles() <= before.files + 2, `${before.files} to ${openFiles()} files`);
  t.equal(status('Threads'), before.threads);
  const grown = status('RssAnon') - before.anonymousKb;
  t.ok(grown < 16_384, `${grown} KB more`);
});
