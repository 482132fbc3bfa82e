// From start to end: drains, a main thread that is busy, too few file descriptors, several proxies, and nothing left.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { createProxy, type ProxyConfig } from '../../src/index.js';
import { request, startUpstream } from '../http.js';
import { freePort, freePorts } from '../ports.js';
import { type Running, root, start, startTulle, temporaryFolder } from '../process.js';
import { Load } from './load.js';
import { certificates, simple, startProxy } from './rig.js';
import { OK, Recorder, type UpstreamConn, Wire } from './wire.js';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

/** A proxy as a program, in front of this upstream, with an admin listener. */
async function program(
  t: Test,
  upstream: number,
  { prefix = [], drain = '20s' }: { prefix?: string[]; drain?: string } = {},
): Promise<{ proxy: Running; port: number; admin: number }> {
  const [port = 0, admin = 0] = await freePorts(2);
  const file = path.join(temporaryFolder(t), 'edge.yaml');
  writeFileSync(
    file,
    `workers: 2
drain: ${drain}
listeners:
  web: { address: "127.0.0.1:${port}" }
  admin: { address: "127.0.0.1:${admin}", admin: true }
services: { api: { endpoints: ["127.0.0.1:${upstream}"] } }
routes:
  - name: all
    rules:
      - { matches: [{ path: { exact: /moved } }], filters: [{ redirect: { path: /there } }] }
      - backends: [{ service: api }]
`,
  );
  const command = [process.execPath, path.join(root, 'dist', 'cli', 'main.js'), 'proxy', '--config', file];
  const proxy = start(t, [...prefix, ...command] as [string, ...string[]]);
  await proxy.says(/^ready/m);
  return { proxy, port, admin };
}

/** Starts a proxy, says so, and then does not let go of its main thread. */
const BLOCKED = `
import { writeSync } from 'node:fs';
import { createProxy } from 'tulle';
const [port, admin, upstream] = process.argv.slice(1).map(Number);
const proxy = createProxy({
  workers: 1,
  listeners: { web: { address: '127.0.0.1:' + port }, admin: { address: '127.0.0.1:' + admin, admin: true } },
  services: { api: { endpoints: ['127.0.0.1:' + upstream] } },
  routes: [{ name: 'all', rules: [{ backends: [{ service: 'api' }] }] }],
});
await proxy.start();
writeSync(1, 'blocked\\n');
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
writeSync(1, 'awake\\n');
`;

/** Takes 300 MiB more than it has when told so on its standard input, and gives them back. */
const GREEDY = `
import { writeSync } from 'node:fs';
import { createProxy } from 'tulle';
const [port, admin, upstream] = process.argv.slice(1).map(Number);
const proxy = createProxy({
  workers: 1,
  memory: '256MiB',
  listeners: { web: { address: '127.0.0.1:' + port }, admin: { address: '127.0.0.1:' + admin, admin: true } },
  services: { api: { endpoints: ['127.0.0.1:' + upstream] } },
  routes: [{ name: 'all', rules: [{ backends: [{ service: 'api' }] }] }],
});
await proxy.start();
let held;
process.on('SIGUSR2', () => { held = held ? undefined : Buffer.alloc(300 << 20, 1); globalThis.gc(); writeSync(1, held ? 'took\\n' : 'gave\\n'); });
writeSync(1, 'ready\\n');
`;

// Each of them waits for processes most of the time.
t.test('lives', { jobs: 3 }, async (t) => {
  t.test('SIGTERM under load: whatever was sent is answered', async (t) => {
    const upstream = await freePort();
    await startUpstream(t, { port: upstream, name: 'a', delayMs: 2 });
    const { proxy, port } = await program(t, upstream);
    const load = await Load.start(t, {
      to: { port, host: '127.0.0.1' },
      connections: 32,
      untilRefused: true,
    });
    await load.more(200);
    const began = Date.now();
    proxy.child.kill('SIGTERM');
    const { failures, answered } = await load.end();
    t.same(failures, []);
    t.ok(answered > 230, `${answered} answers`);
    const { status, stderr } = await proxy.ended;
    t.equal(status, 0);
    t.match(stderr, /"event":"ended","drained":true/);
    t.ok(Date.now() - began < 15_000, 'well before the limit of the drain');
  });

  t.test(
    'at the memory limit nothing is taken on but admin requests, and below it everything is',
    async (t) => {
      const [upstream = 0, port = 0, admin = 0] = await freePorts(3);
      await startUpstream(t, { port: upstream, name: 'a' });
      const args = [
        '--expose-gc',
        '--input-type=module',
        '-e',
        GREEDY,
        ...[port, admin, upstream].map(String),
      ];
      const proxy = start(t, [process.execPath, ...args]);
      await proxy.says(/ready/);
      const metric = async (name: string) => {
        const { body } = await request(`http://127.0.0.1:${admin}/metrics`);
        return Number(new RegExp(`^${name}(?:{.*})? (\\S+)$`, 'm').exec(body)?.[1]);
      };
      const until = async (pressure: number) => {
        while ((await metric('tulle_memory_pressure')) !== pressure) await Promise.resolve();
      };
      t.equal(await metric('tulle_memory_limit_bytes'), 256 << 20);
      const [kept, idle] = [
        await Wire.connect(t, { port, host: '127.0.0.1' }),
        await Wire.connect(t, { port, host: '127.0.0.1' }),
      ];
      await kept.send(GET.slice(0, -2));
      await idle.send(GET);
      t.equal((await idle.final())?.status, 200);
      proxy.child.kill('SIGUSR2');
      await proxy.says(/took/);
      await until(2);
      await kept.send('\r\n');
      const refused = await kept.final();
      t.match(refused, { status: 503, whole: true });
      t.same([refused?.all('retry-after'), refused?.all('connection')], [['1'], ['close']]);
      await idle.closed();
      await t.rejects(request(`http://127.0.0.1:${port}`), 'a new connection is closed at once');
      t.equal((await request(`http://127.0.0.1:${admin}/healthz`)).status, 200, 'admin pages are answered');
      proxy.child.kill('SIGUSR2');
      await proxy.says(/gave/);
      await until(0);
      t.equal((await request(`http://127.0.0.1:${port}`)).status, 200);
    },
  );

  t.test('a drain waits for what is under way, says so, and gives idle clients a last chance', async (t) => {
    const upstream = await freePort();
    const held: UpstreamConn[] = [];
    const recorder = await Recorder.start(t, {
      listen: upstream,
      answer: ({ line }, conn) => {
        if (!line.includes('/slow')) return OK;
        held.push(conn);
        return undefined;
      },
    });
    const { proxy, port, admin } = await program(t, upstream);
    const [busy, idle, uploading] = [
      await Wire.connect(t, { port, host: '127.0.0.1' }),
      await Wire.connect(t, { port, host: '127.0.0.1' }),
      await Wire.connect(t, { port, host: '127.0.0.1' }),
    ];
    await idle.send(GET);
    t.equal((await idle.final())?.status, 200);
    await busy.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    await uploading.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n', 'hel');
    await recorder.until(() => (held.length > 0 && recorder.connections >= 2 ? true : undefined));
    proxy.child.kill('SIGTERM');
    await proxy.says(/"event":"draining"/);
    // The listeners are closed a moment after that is said.
    while ((await request(`http://127.0.0.1:${admin}/readyz`)).status === 200) await Promise.resolve();
    t.match(await request(`http://127.0.0.1:${admin}/readyz`), { status: 503, body: /draining/ });
    t.equal((await request(`http://127.0.0.1:${admin}/healthz`)).status, 200);
    await idle.send(GET);
    const last = await idle.final();
    t.match(last, { status: 200, whole: true }, 'a request on its way is answered');
    t.same(last?.all('connection'), ['close']);
    await idle.closed();
    await uploading.send('lo');
    t.match(await uploading.final(), { status: 200, whole: true }, 'an upload is taken to its end');
    await t.rejects(request(`http://127.0.0.1:${port}`), { code: 'ECONNREFUSED' });
    held[0]?.socket.write(OK);
    const slow = await busy.final();
    t.match(slow, { status: 200, whole: true });
    t.same(slow?.all('connection'), ['close']);
    t.equal((await proxy.ended).status, 0);
  });

  t.test('a drain has a limit', async (t) => {
    const upstream = await freePort();
    const recorder = await Recorder.start(t, { listen: upstream, answer: () => undefined });
    const { proxy, port } = await program(t, upstream, { drain: '300ms' });
    const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
    await wire.send(GET);
    await recorder.until(() => recorder.requests[0]);
    const began = Date.now();
    proxy.child.kill('SIGTERM');
    const { status, stderr } = await proxy.ended;
    t.equal(status, 0);
    t.match(stderr, /"event":"ended","drained":false/);
    t.ok(Date.now() - began < 3_000);
    await wire.closed();
  });

  t.test('a second signal ends a drain', async (t) => {
    const upstream = await freePort();
    const recorder = await Recorder.start(t, { listen: upstream, answer: () => undefined });
    const { proxy, port } = await program(t, upstream);
    const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
    await wire.send(GET);
    await recorder.until(() => recorder.requests[0]);
    proxy.child.kill('SIGINT');
    await proxy.says(/"event":"draining"/);
    const began = Date.now();
    proxy.child.kill('SIGINT');
    t.equal((await proxy.ended).status, 1);
    t.ok(Date.now() - began < 2_000);
    await wire.closed();
  });

  t.test('traffic, health and metrics go on while the main thread is blocked', async (t) => {
    const [port = 0, admin = 0, upstream = 0] = await freePorts(3);
    await startUpstream(t, { port: upstream, name: 'a' });
    const ports = [port, admin, upstream].map(String);
    const embedding = start(t, [process.execPath, '--input-type=module', '-e', BLOCKED, ...ports]);
    await embedding.says(/^blocked$/m);
    const load = await Load.start(t, { to: { port, host: '127.0.0.1' } });
    for (let round = 0; round < 5; round += 1) {
      await load.more(50);
      t.match(await request(`http://127.0.0.1:${admin}/healthz`), { status: 200, body: 'ok\n' });
      t.match(await request(`http://127.0.0.1:${admin}/readyz`), { status: 200 });
      const { body } = await request(`http://127.0.0.1:${admin}/metrics`);
      t.match(body, /^tulle_requests_total\{[^}]*listener="web"[^}]*\} [1-9]/m);
    }
    const { failures } = await load.stop();
    t.same(failures, []);
    t.notMatch(embedding.output(), 'awake');
  });

  t.test('out of file descriptors: accepting pauses, and goes on as soon as there are some', async (t) => {
    const upstream = await freePort();
    const { proxy, port, admin } = await program(t, upstream, { prefix: ['prlimit', '--nofile=100:100'] });
    const asking = async (): Promise<{ wire: Wire; answered: boolean }> => {
      const client = { wire: await Wire.connect(t, { port, host: '127.0.0.1' }), answered: false };
      await client.wire.send('GET /moved HTTP/1.1\r\nHost: a\r\n\r\n');
      void client.wire.final().then((answer) => {
        client.answered = answer?.status === 302;
        settled();
      }, settled);
      return client;
    };
    let settled = (): void => {};
    const clients = await Promise.all(Array.from({ length: 120 }, asking));
    const answered = (): number => clients.filter((client) => client.answered).length;
    const until = async (done: () => boolean): Promise<void> => {
      while (!done()) {
        await new Promise<void>((resolve) => {
          settled = resolve;
        });
      }
    };
    await until(() => answered() >= 20);
    // A connection that is kept and a request on it show that what is accepted is served.
    const kept = clients.find((client) => client.answered)?.wire;
    await kept?.send('GET /moved HTTP/1.1\r\nHost: a\r\n\r\n');
    t.equal((await kept?.final())?.status, 302);
    const before = answered();
    t.ok(before < 120, `${before} of 120 were accepted`);
    const began = Date.now();
    for (const client of clients) if (client.answered) client.wire.socket.destroy();
    await until(() => answered() === 120 || clients.every(({ answered: done, wire }) => done || wire.ended));
    t.equal(answered(), 120, 'all in the end');
    const took = Date.now() - began;
    t.ok(took < 2_000, `recovered within ${took} ms`);
    const { body } = await request(`http://127.0.0.1:${admin}/metrics`);
    t.match(body, /^tulle_accept_pauses_total [1-9]/m);
    t.equal(proxy.child.exitCode, null);
  });

  t.test('an address that is held', async (t) => {
    const [port = 0, upstream = 0] = await freePorts(2);
    await startUpstream(t, { port: upstream, name: 'a' });
    await startProxy(t, simple(port, [`127.0.0.1:${upstream}`]));
    const second = createProxy(simple(port, [`127.0.0.1:${upstream}`]));
    await t.rejects(second.start(), {
      code: 'ENGINE_REFUSED',
      message: new RegExp(`^listener web: 127\\.0\\.0\\.1:${port} `),
    });
    const file = path.join(temporaryFolder(t), 'edge.yaml');
    writeFileSync(file, `listeners: { front: { address: "127.0.0.1:${port}" } }\n`);
    const { status, stderr } = await startTulle(t, ['proxy', '--config', file]).ended;
    t.equal(status, 1);
    t.match(stderr, new RegExp(`^listener front: 127\\.0\\.0\\.1:${port} .*\\n$`));
    t.equal((await request(`http://127.0.0.1:${port}`)).body, 'a', 'the first goes on');

    const sharedPort = await freePort();
    const shared: ProxyConfig = {
      ...simple(sharedPort, [`127.0.0.1:${upstream}`]),
      listeners: { web: { address: `127.0.0.1:${sharedPort}`, shared: true } },
    };
    const both = [await startProxy(t, shared), await startProxy(t, shared)];
    for (let round = 0; round < 20; round += 1)
      t.equal((await request(`http://127.0.0.1:${sharedPort}`)).status, 200);
    await both[0]?.close();
    for (let round = 0; round < 20; round += 1)
      t.equal((await request(`http://127.0.0.1:${sharedPort}`)).status, 200);
  });

  t.test('what cannot be started is one line that names the listener', async (t) => {
    const [certs, port] = [await certificates(t), await freePort()];
    const cases: [string, string, RegExp][] = [
      ['a certificate that is not there', 'cert: certs/none.crt, key: certs/edge.key', /none\.crt/],
      ['a key that is not there', 'cert: certs/edge.crt, key: certs/none.key', /none\.key/],
      ['a key of another certificate', 'cert: certs/edge.crt, key: certs/server.key', /key/],
      ['a certificate that is none', 'cert: certs/crl.pem, key: certs/edge.key', /crl\.pem/],
    ];
    const refuse = async ([name, files, expected]: (typeof cases)[number], index: number): Promise<void> => {
      const file = path.join(certs, '..', `edge-${index}.yaml`);
      writeFileSync(
        file,
        `listeners: { web: { address: "127.0.0.1:${port}", tls: { certificates: [{ ${files} }] } } }\n`,
      );
      const { status, stdout, stderr } = await startTulle(t, ['proxy', '--config', file]).ended;
      t.equal(status, 1, name);
      t.equal(stdout, '', name);
      t.match(stderr, expected, name);
      t.match(stderr, /\bweb\b/, name);
      t.equal(stderr.trimEnd().split('\n').length, 1, `${name}: ${stderr}`);
    };
    await Promise.all(cases.map(refuse));
  });

  t.test('several proxies in one process', async (t) => {
    const [first = 0, second = 0, a = 0, b = 0] = await freePorts(4);
    await startUpstream(t, { port: a, name: 'a' });
    await startUpstream(t, { port: b, name: 'b' });
    const one = await startProxy(t, simple(first, [`127.0.0.1:${a}`]));
    const two = await startProxy(t, simple(second, [`127.0.0.1:${b}`]));
    const loads = [
      await Load.start(t, { to: { port: first, host: '127.0.0.1' }, connections: 8, untilRefused: true }),
      await Load.start(t, { to: { port: second, host: '127.0.0.1' }, connections: 8 }),
    ];
    await one.drain();
    await one.close();
    await loads[1]?.more(100);
    const [ended, going] = [await loads[0]?.end(), await loads[1]?.stop()];
    t.match(ended, { failures: [], bodies: ['a'] });
    t.match(going, { failures: [], bodies: ['b'] });
    t.equal(two.addresses.length, 1);
  });
});

/** Threads and open files of this process. */
function held(): { files: number; threads: number } {
  const count = (what: string): number => readdirSync(`/proc/self/${what}`).length;
  return { files: count('fd'), threads: count('task') };
}

t.test('a hundred starts and closes leave nothing', async (t) => {
  const [certs, upstream, port, admin] = [
    await certificates(t),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  await startUpstream(t, { port: upstream, name: 'a' });
  const log = path.join(temporaryFolder(t), 'access.log');
  const config: ProxyConfig = {
    workers: 2,
    accessLog: { requests: 'all', file: log },
    listeners: {
      web: {
        address: `127.0.0.1:${port}`,
        tls: { certificates: [{ cert: path.join(certs, 'edge.crt'), key: path.join(certs, 'edge.key') }] },
      },
      admin: { address: `127.0.0.1:${admin}`, admin: true },
    },
    services: { api: { endpoints: [`127.0.0.1:${upstream}`] } },
    routes: [{ name: 'all', rules: [{ backends: [{ service: 'api' }] }] }],
  };
  const ca = readFileSync(path.join(certs, 'ca.crt'));
  const round = async (): Promise<void> => {
    const proxy = createProxy(config);
    await proxy.start();
    const wire = await Wire.connect(t, { port, host: '127.0.0.1', ca });
    await wire.send(GET);
    if ((await wire.final())?.status !== 200) t.fail('no answer');
    // Closed with a connection open.
    await proxy.close();
    await wire.closed();
    wire.socket.destroy();
  };
  for (let warm = 0; warm < 5; warm += 1) await round();
  const before = held();
  for (let count = 0; count < 100; count += 1) await round();
  for (let tries = 0; tries < 50 && held().files > before.files; tries += 1) await new Promise(setImmediate);
  const after = held();
  t.ok(after.files <= before.files + 2, `${before.files} to ${after.files} files`);
  t.equal(after.threads, before.threads);
  t.equal(readFileSync(log, 'utf8').trimEnd().split('\n').length, 105, 'every request is in the log');
});
