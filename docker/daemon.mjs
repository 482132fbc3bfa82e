// The Docker that is used: the one that answers, or one of our own that lives as long as the work does. Ours has a
// socket, a data root and no bridge of its own, and changes neither the host's firewall nor its routes.
// In: work to do. Out: its result, with everything that was started ended.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atEnd } from '../.ci/children.mjs';
import { StepError, say } from '../.ci/steps.mjs';

/** How long our daemon may take to answer. */
const DAEMON_MS = 30_000;

/** Runs a program and resolves with how it ended and what it printed; `input` is a file for its standard input. */
export async function capture(name, args, { env = {}, input, shown = false, limitMs = 600_000 } = {}) {
  const stdin = input === undefined ? 'ignore' : fs.openSync(input, 'r');
  const child = spawn(name, args, { env: { ...process.env, ...env }, stdio: [stdin, 'pipe', 'pipe'] });
  if (input !== undefined) fs.closeSync(stdin);
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (text) => {
      said[stream] += text;
      if (shown) process.stderr.write(text);
    });
  }
  try {
    const [code, signal] = await once(child, 'close');
    return { ended: signal ?? code, ...said };
  } catch (cause) {
    return { ended: cause.message, ...said };
  } finally {
    clearTimeout(timer);
  }
}

/** The `docker` command in this environment: `ask` tells how a call ended, `run` gives its output or throws. */
function createDocker(env) {
  const ask = (args, options) => capture('docker', args, { ...options, env });
  const run = async (args, options) => {
    const { ended, stdout, stderr } = await ask(args, options);
    if (ended !== 0) throw new StepError(`failed (${ended}): docker ${args.join(' ')}\n${stderr.trim()}`);
    return stdout.trim();
  };
  return { ask, run };
}

/** Whether it answers within 10 s; a client without a daemon exits with 0, too, and says so. */
async function answers(docker) {
  const { ended, stdout } = await docker.ask(['info', '--format', '{{.ServerVersion}}'], { limitMs: 10_000 });
  return ended === 0 && stdout.trim() !== '';
}

/** Starts a daemon below this folder; resolves with the command that talks to it and what ends it. */
async function startDaemon(folder) {
  const host = `unix://${folder}/socket`;
  const log = fs.openSync(path.join(folder, 'log'), 'w');
  // It and its containers live in namespaces of their own that end with us, however we end.
  const child = spawn(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', 'unshare', '--pid', '--mount', '--fork', '--kill-child', '--mount-proc'],
      ...['dockerd', '--host', host, '--data-root', `${folder}/data`, '--exec-root', `${folder}/exec`],
      ...['--pidfile', `${folder}/pid`, '--bridge', 'none'],
      ...['--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false'],
    ],
    { stdio: ['ignore', log, log] },
  );
  fs.closeSync(log);
  let over;
  const ended = new Promise((resolve) => {
    child.once('error', (cause) => resolve(cause.message));
    child.once('exit', (code, signal) => resolve(`dockerd ended (${signal ?? code})`));
  }).then((why) => {
    over = why;
  });
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  // The builder of BuildKit would need a plug-in of the client; a bridge of its own a firewall.
  const docker = createDocker({ DOCKER_HOST: host, DOCKER_BUILDKIT: '0', DOCKER_CONTEXT: '' });
  for (const until = Date.now() + DAEMON_MS; Date.now() < until && over === undefined; await sleep(200)) {
    if (await answers(docker)) return { docker, stop };
  }
  await stop();
  const tail = fs.readFileSync(path.join(folder, 'log'), 'utf8').trimEnd().split('\n').slice(-5).join('\n');
  throw new StepError(`dockerd does not answer: ${over ?? `silent for ${DAEMON_MS / 1000} s`}\n${tail}`);
}

/** Takes the daemon's folder away; its last process may still be ending. */
function remove(folder) {
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

/** Does `work` with a Docker; throws a StepError where there is none and none can be started. */
export async function withDocker(work) {
  const running = createDocker({});
  if (await answers(running)) return work(running);
  if (process.getuid() !== 0) throw new StepError('no Docker answers, and only root can start one');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tulle-docker-'));
  try {
    say('> starting dockerd');
    const { docker, stop } = await startDaemon(folder);
    const forget = atEnd(async () => {
      await stop();
      remove(folder);
    });
    try {
      return await work(docker);
    } finally {
      await stop();
      forget();
    }
  } finally {
    remove(folder);
  }
}
