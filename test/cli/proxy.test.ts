import { once } from 'node:events';
import { chmodSync, renameSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createServer } from 'node:net';
import path from 'node:path';
import t from 'tap';
import { request, startUpstream } from '../http.js';
import { freePort, freePorts } from '../ports.js';
import { type Running, runTulle, type Scope, startTulle, temporaryFolder } from '../process.js';

/** A configuration with one listener in front of one upstream. */
function config(port: number, upstream: number): string {
  return `workers: 1
drain: 5s
listeners: { web: { address: "127.0.0.1:${port}" } }
services: { api: { endpoints: ["127.0.0.1:${upstream}"] } }
routes: [{ name: all, rules: [{ backends: [{ service: api }] }] }]
`;
}

interface Rig {
  readonly file: string;
  readonly url: string;
  readonly port: number;
  /** Ports of upstreams `a` and `b`. */
  readonly a: number;
  readonly b: number;
  run(...args: string[]): Running;
}

async function rig(scope: Scope): Promise<Rig> {
  const [port = 0, a = 0, b = 0] = await freePorts(3);
  await startUpstream(scope, { port: a, name: 'a' });
  await startUpstream(scope, { port: b, name: 'b' });
  const file = path.join(temporaryFolder(scope), 'edge.yaml');
  writeFileSync(file, config(port, a));
  const run = (...args: string[]): Running => startTulle(scope, ['proxy', '--config', file, ...args]);
  return { file, url: `http://127.0.0.1:${port}`, port, a, b, run };
}

t.test('serves, and says where', async (t) => {
  const { url, run } = await rig(t);
  const proxy = run();
  await proxy.says(new RegExp(`^ready web ${url}$`, 'm'));
  t.match(await request(url), { status: 200, body: 'a' });
  const log = await proxy.says(/^\{.*"event":"ready".*\}$/m);
  t.match(JSON.parse(log[0]), { level: 30, listeners: [{ name: 'web', url }] });
});

t.test('says it as JSON, too', async (t) => {
  const { url, run } = await rig(t);
  const line = await run('--json', '--log-level', 'silent').says(/^\{.*\}$/m);
  t.match(JSON.parse(line[0]), { event: 'ready', version: String, listeners: [{ name: 'web', url }] });
});

t.test('SIGHUP loads the file again; a broken one changes nothing', async (t) => {
  const { file, url, port, b, run } = await rig(t);
  const proxy = run();
  await proxy.says(/^ready/m);
  writeFileSync(file, config(port, b));
  proxy.child.kill('SIGHUP');
  await proxy.says(/"event":"config_applied"/);
  t.equal((await request(url)).body, 'b');

  writeFileSync(file, config(port, b).replace('service: api', 'service: nobody'));
  proxy.child.kill('SIGHUP');
  await proxy.says(/^.*edge\.yaml:5:\d+ {2}UNKNOWN_SERVICE {2}/m);
  await proxy.says(/"event":"config_refused"/);
  t.equal((await request(url)).body, 'b');

  writeFileSync(file, config(port, b));
  proxy.child.kill('SIGHUP');
  await proxy.says(/"event":"config_unchanged"/);
});

t.test('--watch loads the file whenever it changes', async (t) => {
  const { file, url, port, a, b, run } = await rig(t);
  const proxy = run('--watch');
  await proxy.says(/^ready/m);
  writeFileSync(`${file}.new`, config(port, b));
  renameSync(`${file}.new`, file);
  await proxy.says(/"event":"config_applied"/);
  t.equal((await request(url)).body, 'b');
  writeFileSync(file, '{ not: [yaml');
  await proxy.says(/BAD_YAML/);
  t.equal((await request(url)).body, 'b');
  writeFileSync(file, config(port, a));
  await proxy.says(/config_applied[\s\S]*config_applied/);
  t.equal((await request(url)).body, 'a');
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} finishes what is in flight`, async (t) => {
    const [port = 0, upstream = 0] = await freePorts(2);
    const { seen } = await startUpstream(t, { port: upstream, name: 'slow', delayMs: 700 });
    const file = path.join(temporaryFolder(t), 'edge.yaml');
    writeFileSync(file, config(port, upstream));
    const proxy = startTulle(t, ['proxy', '--config', file]);
    await proxy.says(/^ready/m);
    const answer = request(`http://127.0.0.1:${port}`);
    while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    proxy.child.kill(signal);
    t.match(await answer, { status: 200, body: 'slow' });
    const { status, stderr } = await proxy.ended;
    t.equal(status, 0);
    t.match(stderr, /"event":"ended","drained":true/);
    await t.rejects(request(`http://127.0.0.1:${port}`), { code: 'ECONNREFUSED' });
  });
}

t.test('a second signal ends at once', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  const { seen } = await startUpstream(t, { port: upstream, name: 'slow', delayMs: 60_000 });
  const file = path.join(temporaryFolder(t), 'edge.yaml');
  writeFileSync(file, config(port, upstream).replace('drain: 5s', 'drain: 60s'));
  const proxy = startTulle(t, ['proxy', '--config', file]);
  await proxy.says(/^ready/m);
  const answer = request(`http://127.0.0.1:${port}`).catch((cause: unknown) => cause);
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  proxy.child.kill('SIGTERM');
  await proxy.says(/"event":"draining"/);
  const began = Date.now();
  proxy.child.kill('SIGTERM');
  t.equal((await proxy.ended).status, 1);
  t.ok(Date.now() - began < 1_000);
  t.type(await answer, Error);
});

t.test('a start that is refused is one line each, and exit code 1', async (t) => {
  const folder = temporaryFolder(t);
  const [port = 0, upstream = 0] = await freePorts(2);
  const taken = createServer().listen(await freePort(), '127.0.0.1');
  await once(taken, 'listening');
  t.teardown(() => taken.close());
  const takenPort = (taken.address() as { port: number }).port;
  const unreadable = path.join(folder, 'secret.yaml');
  writeFileSync(unreadable, config(port, upstream));
  chmodSync(unreadable, 0);
  const cases: [string, string, RegExp][] = [
    [
      'port in use',
      config(takenPort, upstream),
      new RegExp(`^listener web: .*127\\.0\\.0\\.1:${takenPort}.*\n$`),
    ],
    ['unknown key', `${config(port, upstream)}colour: red\n`, /^\S+case\.yaml:6:1 {2}UNKNOWN_KEY {2}.*\n$/],
    ['empty', '', /^\S+case\.yaml.*\n$/],
  ];
  for (const [name, text, expected] of cases) {
    const file = path.join(folder, 'case.yaml');
    writeFileSync(file, text);
    const { status, stdout, stderr } = await runTulle(t, ['proxy', '--config', file]);
    t.equal(status, 1, name);
    t.equal(stdout, '', name);
    t.match(stderr, expected, name);
  }
  const none = await runTulle(t, ['proxy', '--config', path.join(folder, 'none.yaml')]);
  t.match(none, { status: 1, stderr: /none\.yaml {2}UNREADABLE {2}.*\n$/ });
});

t.test('a parent that stops reading does not end it', async (t) => {
  const { url, file, run, port, b } = await rig(t);
  const proxy = run();
  await proxy.says(/^ready/m);
  proxy.child.stdout.destroy();
  proxy.child.stderr.destroy();
  writeFileSync(file, config(port, b));
  proxy.child.kill('SIGHUP');
  const agent = new http.Agent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  for (let tried = 0; tried < 100; tried += 1) {
    if ((await request(url, { agent })).body === 'b') break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  t.equal((await request(url, { agent })).body, 'b');
  t.equal(proxy.child.exitCode, null);
});
