// What `npm pack` makes, installed into an empty folder without a compiler: the command line and the embedding work.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { request, startUpstream } from '../http.js';
import { freePorts } from '../ports.js';
import { root, start, temporaryFolder } from '../process.js';

t.test('the package', async (t) => {
  const folder = temporaryFolder(t);
  const packed = await start(t, ['npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', folder])
    .ended;
  t.equal(packed.status, 0, packed.stderr);
  const archive = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? 'none';
  const listed = await start(t, ['tar', 'tzf', path.join(folder, archive)]).ended;
  const names = listed.stdout.trimEnd().split('\n');
  for (const name of ['dist/cli/main.js', 'dist/index.d.ts', 'LICENSE', 'native/node/index.cjs']) {
    t.ok(names.includes(`package/${name}`), name);
  }
  t.same(
    names.filter((name) => /\/(test|bench|src)\/|\.rs$|\.(key|crt)$/.test(name)),
    [],
    'neither sources nor keys',
  );

  // Nothing of a toolchain on the PATH: Node, npm, and what a shell needs.
  const bin = path.dirname(process.execPath);
  const env = { PATH: `${bin}:/bin`, CC: '/nonexistent', CXX: '/nonexistent', CARGO: '/nonexistent' };
  writeFileSync(path.join(folder, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }');
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', `./${archive}`];
  const installed = await start(t, ['npm', ...args], { cwd: folder, env }).ended;
  t.equal(installed.status, 0, installed.stderr);

  const tulle = path.join(folder, 'node_modules', '.bin', 'tulle');
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  t.match(await start(t, [tulle, '--version'], { cwd: folder, env }).ended, {
    status: 0,
    stdout: `${version}\n`,
  });

  const [port = 0, embeddedPort = 0, upstream = 0] = await freePorts(3);
  await startUpstream(t, { port: upstream, name: 'a' });
  writeFileSync(
    path.join(folder, 'edge.yaml'),
    `listeners: { web: { address: "127.0.0.1:${port}" } }
services: { api: { endpoints: ["127.0.0.1:${upstream}"] } }
routes: [{ name: all, rules: [{ backends: [{ service: api }] }] }]
`,
  );
  const proxy = start(t, [tulle, 'proxy', '--config', 'edge.yaml'], { cwd: folder, env });
  await proxy.says(/^ready/m);
  t.match(await request(`http://127.0.0.1:${port}`), { status: 200, body: 'a' });

  writeFileSync(path.join(folder, 'embed.js'), readFileSync(path.join(root, 'examples', 'embed.js')));
  const embedded = start(t, [process.execPath, 'embed.js'], {
    cwd: folder,
    env: { ...env, PORT: String(embeddedPort), UPSTREAM: String(upstream) },
  });
  await embedded.says(/^ready/m);
  t.match(await request(`http://127.0.0.1:${embeddedPort}`), { status: 200, body: 'a' });
});
