// The image that the first stage starts from: Debian with Node. In: a registry, or where none answers, Debian's own
// archive and the node that runs this. Out: the name of an image.
import fs from 'node:fs';
import path from 'node:path';
import { command, root, StepError, say, timed } from '../.ci/steps.mjs';
import { capture } from './daemon.mjs';

/** Taken where a registry answers; its C library is that of the oldest system that Tulle promises to run on. */
const FROM_REGISTRY = 'node:20-bookworm-slim';
const SUITE = 'bookworm';

/** Puts this process's node into a Debian, with those of its libraries that the Debian lacks. */
async function addNode(folder) {
  fs.copyFileSync(process.execPath, path.join(folder, 'usr/local/bin/node'));
  const { stdout } = await capture('ldd', [process.execPath]);
  for (const [library] of stdout.matchAll(/\/\S+/g)) {
    const copy = path.join(folder, library);
    if (fs.existsSync(copy)) continue;
    fs.mkdirSync(path.dirname(copy), { recursive: true });
    fs.copyFileSync(library, copy);
  }
}

/** Makes the archive of a Debian with Node; the second time, it is there. */
async function debian(archive) {
  if (fs.existsSync(archive)) return;
  if (process.getuid() !== 0) throw new StepError('no registry answers, and debootstrap needs root');
  const folder = `${archive}.d`;
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  try {
    const options = ['--variant=minbase', '--include=ca-certificates'];
    await timed(`making a base image (debootstrap ${SUITE})`, async () => {
      const { ended, stdout, stderr } = await capture('debootstrap', [...options, SUITE, folder]);
      const last = `${stdout}${stderr}`.trimEnd().split('\n').slice(-3).join('\n');
      if (ended !== 0) throw new StepError(`failed (${ended}): debootstrap\n${last}`);
    });
    await addNode(folder);
    await command('tar', ['--create', '--one-file-system', '--file', `${archive}.new`, '-C', folder, '.']);
    fs.renameSync(`${archive}.new`, archive);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** The base image: the one that was asked for, the registry's, or one made here. */
export async function chooseBase(docker, wanted) {
  if (wanted !== undefined) return wanted;
  const there = await docker.ask(['image', 'inspect', FROM_REGISTRY]);
  if (there.ended === 0) return FROM_REGISTRY;
  const pulled = await docker.ask(['pull', '--quiet', FROM_REGISTRY], { limitMs: 120_000 });
  if (pulled.ended === 0) return FROM_REGISTRY;
  say(`  ${FROM_REGISTRY} cannot be pulled: ${pulled.stderr.trim().split('\n').at(-1)}`);
  const name = `base-${SUITE}-node-${process.version}-${process.arch}`;
  const archive = path.join(root, 'build', 'docker', `${name}.tar`);
  await debian(archive);
  const image = `tulle-base:${SUITE}-node-${process.version}`;
  await docker.run(['import', '--', '-', image], { input: archive });
  return image;
}
