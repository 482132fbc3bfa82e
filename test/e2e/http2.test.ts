// HTTP/2 as others test it: h2spec, every case, plain and over TLS.

import path from 'node:path';
import t from 'tap';
import { startUpstream } from '../http.js';
import { freePorts } from '../ports.js';
import { type Scope, start } from '../process.js';
import { program } from '../programs.js';
import { certificates, simple, startProxy } from './rig.js';

/** What h2spec 2.2.1 has in its three sections, the strict ones included. */
const CASES = 146;

/** h2spec's verdicts: what it found wrong, and how many cases it ran. */
async function h2spec(scope: Scope, args: readonly string[]): Promise<{ wrong: string[]; ran: number }> {
  const flags = ['-h', '127.0.0.1', '-S', ...args];
  const { stdout } = await start(scope, [program('h2spec'), ...flags, 'generic', 'hpack', 'http2']).ended;
  const ran = Number(/^(\d+) tests, \d+ passed, 0 skipped, \d+ failed$/m.exec(stdout)?.[1]);
  const wrong: string[] = [];
  const where: string[] = [];
  for (const line of stdout.slice(stdout.lastIndexOf('\nFailures:')).split('\n')) {
    const section = /^( *)(\d[\d.]*)\. |^(Generic|Hypertext|HPACK)/.exec(line);
    if (section !== null) where.splice((section[1]?.length ?? 0) / 2, 9, section[2] ?? line.slice(0, 9));
    const failed = /× (\d+): (.*)/.exec(line);
    if (failed !== null) wrong.push(`${where.filter(Boolean).join(' ')}/${failed[1]}: ${failed[2]}`);
  }
  return { wrong, ran };
}

t.test('h2spec: generic, hpack, http2', async (t) => {
  const [plain = 0, sealed = 0, upstream = 0] = await freePorts(3);
  const folder = await certificates(t);
  await startUpstream(t, { port: upstream, name: 'h2spec wants a body of some length' });
  const pair = { cert: path.join(folder, 'edge.crt'), key: path.join(folder, 'edge.key') };
  await startProxy(
    t,
    simple(plain, [`127.0.0.1:${upstream}`], {
      listeners: {
        plain: { address: `127.0.0.1:${plain}`, protocol: 'http2' },
        sealed: { address: `127.0.0.1:${sealed}`, protocol: 'http2', tls: { certificates: [pair] } },
      },
    }),
  );
  const [open, tls] = await Promise.all([
    h2spec(t, ['-p', String(plain)]),
    h2spec(t, ['-p', String(sealed), '-t', '-k']),
  ]);
  t.same(open, { wrong: [], ran: CASES }, 'plain, by prior knowledge');
  t.same(tls, { wrong: [], ran: CASES }, 'TLS, by ALPN');
});
