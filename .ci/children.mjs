// Programs that a script runs, each in a process group of its own, and the script's own end by a signal.
// In: commands; SIGINT, SIGTERM or SIGHUP, to this process alone or from a terminal. Out: how each program ended; after a
// signal, no process of theirs is left. Used by steps and test.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long programs may take to end when they are told to; then they are killed. */
const PATIENCE_MS = 2_000;

const running = new Set();
const works = new Set();
let ending = false;

/** Starts a program; it ends with this process, should that be ended by a signal. */
export function startChild(name, args, options) {
  const child = spawn(name, args, { ...options, detached: true });
  if (child.pid !== undefined) running.add(child);
  child.once('close', () => running.delete(child));
  return child;
}

/**
 * Resolves with how a child ended: its exit code, or the signal. Rejects where it could not be started. While this
 * process is being ended it stays pending, so that no next step is begun.
 */
export async function endOf(child) {
  const [code, signal] = await once(child, 'close');
  return ending ? new Promise(() => {}) : (signal ?? code);
}

/** Sends a signal to all processes of a child; that they have just ended by themselves is no error. */
export function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch (cause) {
    if (cause.code !== 'ESRCH') throw cause;
  }
}

/** Does `work` when a signal ends this process, once its children have ended. Returns what takes that back. */
export function atEnd(work) {
  works.add(work);
  return () => works.delete(work);
}

function exited(child) {
  return child.exitCode !== null || child.signalCode !== null ? undefined : once(child, 'exit');
}

/** Passes the signal on and waits; whoever does not listen, or was left behind by its parent, is killed. */
async function endChildren(signal) {
  const children = [...running];
  for (const child of children) signalGroup(child, signal);
  await Promise.race([Promise.all(children.map(exited)), sleep(PATIENCE_MS)]);
  for (const child of children) signalGroup(child, 'SIGKILL');
  await Promise.all(children.map(exited));
}

/** From now on, signals end this process in order; a second one does not wait. */
export function endOnSignals() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, async () => {
      if (ending) {
        for (const child of running) signalGroup(child, 'SIGKILL');
        return;
      }
      ending = true;
      await endChildren(signal);
      for (const work of works) await work();
      process.exit(128 + os.constants.signals[signal]);
    });
  }
}
