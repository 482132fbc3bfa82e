import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { root, runTulle, start, temporaryFolder } from '../process.js';

t.test('tulle certs', async (t) => {
  const folder = temporaryFolder(t);
  const certs = path.join(folder, 'certs');
  const first = await runTulle(t, ['certs', folder]);
  t.match(first, { status: 0, stderr: '' });
  const names = readdirSync(certs).sort();
  t.equal(first.stdout.trimEnd().split('\n').length, names.length);
  t.ok(first.stdout.split('\n').every((line) => line === '' || line.startsWith('written  ')));

  t.test('are what the examples name', async (t) => {
    for (const example of ['edge', 'hop-client', 'hop-server']) {
      const text = readFileSync(path.join(root, 'examples', `${example}.yaml`), 'utf8');
      writeFileSync(path.join(folder, `${example}.yaml`), text);
      t.match(
        await runTulle(t, ['check', path.join(folder, `${example}.yaml`)]),
        { status: 0, stderr: '' },
        example,
      );
    }
  });

  t.test('are readable by their owner only where they are keys', async (t) => {
    const keys = names.filter((name) => name.endsWith('.key'));
    t.ok(keys.includes('ca.key') && keys.includes('edge.key'));
    for (const name of keys) t.equal(statSync(path.join(certs, name)).mode & 0o777, 0o600, name);
  });

  t.test('are signed by the CA and name this machine', async (t) => {
    const ca = new X509Certificate(readFileSync(path.join(certs, 'ca.crt')));
    for (const name of ['edge', 'client', 'server']) {
      const leaf = new X509Certificate(readFileSync(path.join(certs, `${name}.crt`)));
      t.ok(leaf.verify(ca.publicKey), name);
      for (const part of ['DNS:localhost', 'DNS:*.example.test', 'IP Address:127.0.0.1']) {
        t.ok(leaf.subjectAltName?.includes(part), `${name}: ${part}`);
      }
      t.equal(leaf.subjectAltName?.includes('URI:spiffe://'), name !== 'edge', `${name}: SPIFFE ID`);
    }
  });

  t.test('are kept while they are valid, and replaced by --force', async (t) => {
    const before = readFileSync(path.join(certs, 'edge.crt'), 'utf8');
    const second = await runTulle(t, ['certs', folder, '--json']);
    const { files } = JSON.parse(second.stdout) as { files: { path: string; kept: boolean }[] };
    t.equal(files.length, names.length);
    t.ok(files.every(({ kept }) => kept));
    t.equal(readFileSync(path.join(certs, 'edge.crt'), 'utf8'), before);
    t.equal((await runTulle(t, ['certs', folder, '--force'])).status, 0);
    t.not(readFileSync(path.join(certs, 'edge.crt'), 'utf8'), before);
  });
});

t.test('the current folder is the default', async (t) => {
  const folder = temporaryFolder(t);
  t.equal((await runTulle(t, ['certs'], { cwd: folder })).status, 0);
  t.ok(readdirSync(path.join(folder, 'certs')).includes('ca.crt'));
});

t.test('a folder that cannot be made is one line', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(path.join(folder, 'certs'), 'a file');
  const { status, stdout, stderr } = await runTulle(t, ['certs', folder]);
  t.equal(status, 1);
  t.equal(stdout, '');
  t.match(stderr, /^tulle: .*certs.*\n$/);
  t.equal(
    (await start(t, ['test', '-f', path.join(folder, 'certs')]).ended).status,
    0,
    'the file is untouched',
  );
});
