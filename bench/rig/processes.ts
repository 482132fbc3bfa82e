// Starts processes and ends exactly those, by process id: at the end, on Ctrl-C and on a crash. In: a command and the
// core it may use; out: a handle with its process tree.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Identity, identityOf, isAlive, treeOf } from '../measure/tree.js';
import { hasProgram, pause, RigError } from './tools.js';

/** How a process is started. */
export interface StartOptions {
  /** What it is called in messages and in the name of its output file. */
  readonly name: string;
  /** Folder for its output. */
  readonly folder: string;
  /** The processor it is pinned to. */
  readonly core: number;
}

/** A process that we started. */
export interface Started {
  readonly name: string;
  readonly pid: number;
  /** The process and its descendants, now. */
  pids(): number[];
  /** Undefined while it runs; afterwards its last lines of output. */
  ended(): string | undefined;
}

const PATIENCE_S = 4;

/** All processes of one benchmark. */
export class Fleet {
  readonly #running = new Map<number, ChildProcess>();
  #count = 0;
  #closed = false;

  /** Starts a command pinned to a core; should this process die, the kernel ends it too. */
  start(command: readonly string[], options: StartOptions): Started {
    if (this.#closed) throw new RigError('the benchmark is ending');
    this.#count += 1;
    const output = join(options.folder, `${options.name}-${this.#count}.out`);
    const file = openSync(output, 'a');
    const guard = hasProgram('setpriv') ? ['setpriv', '--pdeathsig', 'TERM'] : [];
    const [program = '', ...args] = [...guard, 'taskset', '-c', String(options.core), ...command];
    const child = spawn(program, args, { stdio: ['ignore', file, file] });
    closeSync(file);
    return this.#adopt(child, options.name, output);
  }

  /** Takes over a child that was made elsewhere (a forked Node program), so that it is ended like the others. */
  adopt(child: ChildProcess, name: string): Started {
    return this.#adopt(child, name, undefined);
  }

  #adopt(child: ChildProcess, name: string, output: string | undefined): Started {
    const pid = child.pid;
    child.on('error', () => {}); // the missing pid below, or `ended`, tells of it
    if (pid === undefined) throw new RigError(`${name} cannot be started`);
    this.#running.set(pid, child);
    child.once('exit', () => this.#running.delete(pid));
    return {
      name,
      pid,
      pids: () => treeOf(pid),
      ended: () => (isOver(child) ? lastLines(output) : undefined),
    };
  }

  /** Ends some processes: politely, then after four seconds by force, their descendants included. */
  async stop(processes: readonly Started[]): Promise<void> {
    await this.#end(processes.map((process) => process.pid));
  }

  /** Ends everything but these: what a scenario that failed has left behind. */
  async stopOthers(kept: readonly number[]): Promise<void> {
    await this.#end([...this.#running.keys()].filter((pid) => !kept.includes(pid)));
  }

  /** Ends everything that still runs; nothing can be started afterwards. */
  async stopAll(): Promise<void> {
    this.#closed = true;
    await this.#end([...this.#running.keys()]);
  }

  /** Ends everything at once, without waiting: for the moment this process exits. */
  killNow(): void {
    for (const pid of this.#running.keys()) {
      for (const identity of identitiesIn(pid)) kill(identity, 'SIGKILL');
    }
    this.#running.clear();
  }

  async #end(roots: readonly number[]): Promise<void> {
    const children = roots.flatMap((pid) => this.#running.get(pid) ?? []);
    const all = roots.flatMap((pid) => (this.#running.has(pid) ? identitiesIn(pid) : []));
    for (const child of children) child.kill('SIGTERM');
    const deadline = performance.now() + PATIENCE_S * 1000;
    const left = () => all.some(isAlive) || !children.every(isOver);
    while (left() && performance.now() < deadline) await pause(0.02);
    for (const identity of all) kill(identity, 'SIGKILL');
    while (left() && performance.now() < deadline + 1000) await pause(0.02);
  }
}

function identitiesIn(root: number): Identity[] {
  return treeOf(root).flatMap((member) => identityOf(member) ?? []);
}

function isOver(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Signals a process if it is still the one that was meant. */
function kill(identity: Identity, signal: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch {
    // it ended in between
  }
}

function lastLines(output: string | undefined): string {
  if (output === undefined) return 'it ended';
  const lines = readFileSync(output, 'utf8').trim().split('\n').slice(-3).join(' | ');
  return lines === '' ? 'it ended without a word' : lines;
}
