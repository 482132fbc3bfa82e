// The container image, built and run for real: each promise that docker/prove.mjs proves is a test here.

import path from 'node:path';
import t from 'tap';
import { root, start } from '../process.js';

const PROMISES = [
  /^it serves /,
  /^node is the only program /,
  /^no sources, no keys, no packages /,
  /^the image is smaller than \d+ MB /,
  /^it is one process /,
  /^it runs as its own user /,
  /^it has no capability in CapEff /,
  /^it has no capability in CapPrm /,
  /^it has no capability in CapBnd /,
  /^it cannot gain privileges /,
  /^its root is read-only /,
  /^\d+ requests on \d+ connections \(0 failed\)$/,
  /^\d+ TLS handshakes and requests \(0 failed\)$/,
  /^it stays within its memory \(.* \/ 128MiB\)$/,
  /^a request in flight at `docker stop` is answered \(status 200\)$/,
  /^it stops within its drain /,
  /^it ends by itself, with 0 /,
];

t.test('the container image', async (t) => {
  const { status, stdout, stderr } = await start(t, [
    process.execPath,
    path.join(root, 'docker', 'prove.mjs'),
  ]).ended;
  t.equal(status, 0, stderr);
  const proved = [...stdout.matchAll(/^proved: (.+)$/gm)].map(([, promise]) => promise ?? '');
  t.comment(proved.join('\n'));
  for (const pattern of PROMISES)
    t.ok(
      proved.some((promise) => pattern.test(promise)),
      pattern.source,
    );
});
