// `npm start`: builds what is missing and runs the edge proxy of examples/edge.yaml in front of two small upstreams.
// In: a fresh clone on a machine with Node, Rust and a C compiler. Out: `ready …`, three commands to try, and a demo
// that runs until Ctrl-C, which ends all of it within 2 s.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { atEnd } from './children.mjs';
import { build, command, root, run, StepError, say } from './steps.mjs';
import { ensurePrograms, forStart } from './system.mjs';

const upstreamPorts = [19001, 19002];
const config = 'examples/edge.yaml';
const tulle = path.join(root, 'dist', 'cli', 'main.js');

const tryThese = `ready http://127.0.0.1:18080

Try, in another terminal, in this folder:
  curl http://127.0.0.1:18080/hello -H 'host: api.example.test'
  curl --cacert examples/certs/ca.crt --resolve api.example.test:18443:127.0.0.1 https://api.example.test:18443/v1/hello
  npx autocannon -c 32 -d 5 http://127.0.0.1:18080/

Ctrl-C ends it.`;

/** Throws one line for all ports of the demo that somebody holds. */
async function portsFree() {
  const text = fs.readFileSync(path.join(root, config), 'utf8');
  const ports = [
    ...new Set([...text.matchAll(/address: 127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port))),
  ];
  const taken = [];
  for (const port of ports) {
    const probe = net.createServer();
    probe.listen(port, '127.0.0.1');
    await once(probe, 'listening').catch(() => taken.push(port));
    probe.close();
  }
  if (taken.length > 0) {
    throw new StepError(
      `another process listens on 127.0.0.1, port ${taken.join(', ')}: end it, and start again`,
    );
  }
}

/** The processes of the demo, in the order in which they end: whoever sends before whoever answers. */
const running = [];
let ready = false;
let ending = false;

/** Starts one process in a group of its own, so that Ctrl-C reaches it through us only, in order. */
function start(begin) {
  const child = begin();
  running.unshift(child);
  child.once('exit', (code, signal) => {
    if (ending) return;
    if (ready) say(`a part of the demo ended by itself (${signal ?? code})`);
    void end(1);
  });
  return child;
}

/** Resolves when the child has printed a line with `word`; what it prints after that is passed on. */
function saying(child, word) {
  return new Promise((resolve) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part) => {
      if (text === null) {
        process.stdout.write(part);
        return;
      }
      text += part;
      if (!new RegExp(`${word}.*\n`).test(text)) return;
      text = null;
      resolve();
    });
  });
}

/** Whether the child is gone within this time. */
async function gone(child, ms) {
  if (child.exitCode !== null || child.signalCode !== null) return true;
  return Promise.race([
    once(child, 'exit').then(() => true),
    new Promise((r) => setTimeout(() => r(false), ms)),
  ]);
}

async function end(code) {
  if (ending) return;
  ending = true;
  for (const child of running) {
    for (const [signal, patience] of [
      ['SIGTERM', 1200],
      ['SIGTERM', 200],
      ['SIGKILL', 200],
    ]) {
      child.kill(signal);
      if (await gone(child, patience)) break;
    }
  }
  process.exit(code);
}

await run(async () => {
  atEnd(() => end(0));
  const line = await ensurePrograms(forStart);
  if (line) throw new StepError(`a C compiler is needed: ${line}`);
  await portsFree();
  await build();
  await command(process.execPath, [tulle, 'certs', 'examples'], { quiet: true });
  const stdio = ['ignore', 'pipe', 'inherit'];
  const upstreams = upstreamPorts.map((port) =>
    start(() =>
      fork(path.join(root, 'examples', 'upstream.js'), [String(port)], {
        detached: true,
        stdio: [...stdio, 'ipc'],
      }),
    ),
  );
  await Promise.all(upstreams.map((child) => saying(child, 'listening')));
  const args = [tulle, '--log-level', 'warn', 'proxy', '--config', config];
  const proxy = start(() => spawn(process.execPath, args, { cwd: root, detached: true, stdio }));
  await saying(proxy, 'ready');
  ready = true;
  console.log(tryThese);
  // Whoever started us was killed: nobody could press Ctrl-C any more.
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && void end(0), 500);
});
