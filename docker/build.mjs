// `npm run image [-- --tag NAME --base IMAGE]`: builds the image of docker/Dockerfile, by default as tulle:VERSION.
// In: the checkout. Out: an image in the Docker that answers. `--output FILE` also saves it there, which is the only
// way to keep it where no Docker answers and one is started for the purpose.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { build, root, run, say, timed } from '../.ci/steps.mjs';
import { chooseBase } from './base.mjs';
import { bundle } from './bundle.mjs';
import { withDocker } from './daemon.mjs';

/** What the image is called unless something else is asked for. */
export function defaultTag() {
  const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  return `tulle:${version}`;
}

/** Builds the image under this name with this Docker. */
export async function buildImage(docker, { tag, base }) {
  await build();
  const from = await chooseBase(docker, base);
  const context = fs.mkdtempSync(path.join(os.tmpdir(), 'tulle-image-'));
  try {
    for (const name of ['Dockerfile', 'collect.sh']) {
      fs.copyFileSync(path.join(root, 'docker', name), path.join(context, name));
    }
    await bundle(path.join(context, 'app'));
    await timed(`building ${tag} from ${from}`, () =>
      docker.run(['build', '--network', 'host', '--build-arg', `BASE=${from}`, '--tag', tag, context]),
    );
  } finally {
    fs.rmSync(context, { recursive: true, force: true });
  }
}

if (process.argv[1] === import.meta.filename) {
  await run(async () => {
    const { values } = parseArgs({
      options: {
        tag: { type: 'string', default: defaultTag() },
        base: { type: 'string' },
        output: { type: 'string' },
      },
    });
    await withDocker(async (docker) => {
      await buildImage(docker, values);
      if (values.output !== undefined) await docker.run(['save', '--output', values.output, values.tag]);
      say(
        `built ${values.tag}, ${await docker.run(['image', 'inspect', '--format', '{{.Size}}', values.tag])} bytes`,
      );
    });
  });
}
