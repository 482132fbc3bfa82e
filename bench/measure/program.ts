// Runs one of our own Node programs as a child and talks to it by messages: one answer per message, and perhaps a word in
// between that the work has begun.

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Fleet, Started } from '../rig/processes.js';
import { RigError, run } from '../rig/tools.js';

/** What a program sends when its work proper begins. */
export const BEGUN = 'begun';

/** How an answer is waited for. */
export interface AskOptions {
  /** The longest silence, in seconds. */
  readonly seconds: number;
  /** Called when the program says that its work has begun. */
  readonly onBegun?: () => void;
}

/** A running program. */
export class Program<Message extends object | string, Answer> {
  readonly started: Started;
  readonly #child: ChildProcess;

  /** Starts `measure/NAME.js`, or another file by its path, pinned to a core. */
  constructor(fleet: Fleet, file: string, options: { core: number; args?: readonly string[] }) {
    const path = file.startsWith('/') ? file : fileURLToPath(new URL(`./${file}.js`, import.meta.url));
    this.#child = fork(path, options.args ?? [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.started = fleet.adopt(this.#child, file);
    run(['taskset', '-a', '-c', '-p', String(options.core), String(this.started.pid)]);
  }

  /** Sends a message; resolves with the answer, rejects when the program ends or is silent for too long. */
  ask(message: Message, options: AskOptions): Promise<Answer> {
    const { seconds, onBegun } = options;
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer);
        child.off('message', answered).off('exit', ended);
      };
      const answered = (answer: unknown) => {
        if (answer === BEGUN) {
          onBegun?.();
          return;
        }
        finish();
        resolve(answer as Answer);
      };
      const ended = () => {
        finish();
        reject(new RigError(`${this.started.name} ended`));
      };
      const timer = setTimeout(() => {
        finish();
        reject(new RigError(`${this.started.name} said nothing for ${seconds} s`));
      }, seconds * 1000);
      child.on('message', answered).on('exit', ended);
      child.send(message);
    });
  }
}
