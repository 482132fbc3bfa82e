import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { watchFile } from '../../src/cli/watch.js';
import { temporaryFolder } from '../process.js';

/** Longer than changes are gathered for. */
const SETTLED_MS = 400;
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, SETTLED_MS));

t.test('every way a file changes is noticed, once', async (t) => {
  const folder = temporaryFolder(t);
  const file = path.join(folder, 'edge.yaml');
  writeFileSync(file, 'a');
  let changes = 0;
  t.teardown(
    watchFile(file, () => {
      changes += 1;
    }),
  );
  const cases: [string, () => void, number][] = [
    ['written in place', () => writeFileSync(file, 'b'), 1],
    ['the same again', () => writeFileSync(file, 'b'), 0],
    [
      'renamed over',
      () => {
        writeFileSync(`${file}.new`, 'c');
        renameSync(`${file}.new`, file);
      },
      1,
    ],
    ['written after the rename', () => writeFileSync(file, 'd'), 1],
    ['another file', () => writeFileSync(path.join(folder, 'other.yaml'), 'x'), 0],
    ['taken away', () => rmSync(file), 0],
    ['back with something else', () => writeFileSync(file, 'e'), 1],
    [
      'in several writes',
      () => {
        for (const part of ['1', '2', '3', '4']) appendFileSync(file, part);
      },
      1,
    ],
  ];
  for (const [name, act, expected] of cases) {
    changes = 0;
    act();
    await settle();
    t.equal(changes, expected, name);
  }
});

t.test('a symlink that moves, as in a mounted ConfigMap', async (t) => {
  const folder = temporaryFolder(t);
  for (const [name, text] of [
    ['v1', 'a'],
    ['v2', 'b'],
  ] as const) {
    mkdirSync(path.join(folder, name));
    writeFileSync(path.join(folder, name, 'edge.yaml'), text);
  }
  symlinkSync('v1', path.join(folder, '..data'));
  symlinkSync(path.join('..data', 'edge.yaml'), path.join(folder, 'edge.yaml'));
  let changes = 0;
  t.teardown(
    watchFile(path.join(folder, 'edge.yaml'), () => {
      changes += 1;
    }),
  );
  symlinkSync('v2', path.join(folder, '..data_new'));
  renameSync(path.join(folder, '..data_new'), path.join(folder, '..data'));
  await settle();
  t.equal(changes, 1);
});

t.test('nothing is called after the end', async (t) => {
  const folder = temporaryFolder(t);
  const file = path.join(folder, 'edge.yaml');
  writeFileSync(file, 'a');
  const stop = watchFile(file, () => t.fail('called after the end'));
  writeFileSync(file, 'b');
  stop();
  writeFileSync(file, 'c');
  await settle();
});

t.test('a file that is not there is an error', async (t) => {
  t.throws(() => watchFile(path.join(temporaryFolder(t), 'no', 'such.yaml'), () => {}), { code: 'ENOENT' });
});
