// A smoke run on the later lines of Node: the command line and an embedded proxy, one request each. The binaries come
// from npm and are kept in build/, so that only the first run downloads them.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { request, startUpstream } from '../http.js';
import { freePorts } from '../ports.js';
import { root, type Scope, start, temporaryFolder, tulleMain } from '../process.js';

/** One version of each line, so that runs are alike. */
const VERSIONS = ['22.23.3', '24.21.0'];

async function install(scope: Scope, version: string): Promise<string> {
  const folder = path.join(root, 'build', 'node', version);
  const name = `node-linux-${process.arch}`;
  const binary = path.join(folder, 'node_modules', name, 'bin', 'node');
  if (existsSync(binary)) return binary;
  await mkdir(folder, { recursive: true });
  const args = ['--prefix', folder, '--no-save', '--no-audit', '--no-fund', `${name}@${version}`];
  const { status, stderr } = await start(scope, ['npm', 'install', ...args], { cwd: folder }).ended;
  if (status !== 0) throw new Error(`npm install ${name}@${version}: ${stderr}`);
  return binary;
}

for (const version of VERSIONS) {
  t.test(`Node ${version}`, async (t) => {
    const node = await install(t, version);
    t.match(await start(t, [node, '--version']).ended, { status: 0, stdout: `v${version}\n` });

    const [port = 0, upstream = 0] = await freePorts(2);
    await startUpstream(t, { port: upstream, name: 'a' });
    const embedded = start(t, [node, 'examples/embed.js'], {
      env: { PORT: String(port), UPSTREAM: String(upstream) },
    });
    await embedded.says(/^ready http/m);
    t.match(await request(`http://127.0.0.1:${port}`), { status: 200, body: 'a' });
    embedded.child.kill('SIGINT');
    t.equal((await embedded.ended).status, 0);

    const help = await start(t, [node, tulleMain, '--help']).ended;
    t.match(help, { status: 0, stderr: '' });
    const none = path.join(temporaryFolder(t), 'none.yaml');
    t.equal((await start(t, [node, tulleMain, 'check', none]).ended).status, 1);
  });
}
