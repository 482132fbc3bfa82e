// Runs what a document tells people to type. In: the text of a block, an empty folder. Out: each command's output, with
// what the comment behind it promises. Ports are exchanged for free ones, in commands and example files alike.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../ports.js';
import { root, type Scope, temporaryFolder } from '../process.js';

/** A fenced block of a document. */
export interface Block {
  /** What stands behind the opening fence: `sh run`, `ts`. */
  readonly kind: string;
  readonly text: string;
}

/** One command and the comment behind it, `# exit code 1: text` or `# text`. */
export interface Step {
  readonly command: string;
  /** It ends with `&`: it goes on while the others run. */
  readonly background: boolean;
  readonly status: number;
  /** Part of what it prints. */
  readonly says: string;
}

/** The fenced blocks in their order. */
export function toBlocks(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(([, kind = '', text = '']) => ({
    kind,
    text,
  }));
}

/** The commands of a block. */
export function toSteps(text: string): Step[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const [typed = '', comment = ''] = line.split(/ {2,}# /);
    const [, status = '0', says = comment] = /^exit code (\d+): (.*)$/.exec(comment) ?? [];
    return {
      command: typed.replace(/ *&$/, ''),
      background: /&$/.test(typed),
      status: Number(status),
      says,
    };
  });
}

/** A folder like a checkout or an installation: the examples, and `tulle` among its packages. */
export interface Place {
  readonly folder: string;
  /** The text with the ports of the examples exchanged for free ones, the same each time. */
  readonly local: (text: string) => string;
}

/** Lays out such a folder with the examples that the text names. */
export async function createPlace(scope: Scope, text: string): Promise<Place> {
  const folder = temporaryFolder(scope);
  const names = new Set([...text.matchAll(/\bexamples\/([\w-]+\.\w+)/g)].map(([, name = '']) => name));
  const files = [...names].map((name) => ({
    name,
    content: readFileSync(path.join(root, 'examples', name), 'utf8'),
  }));
  const ports = new Map<string, string>();
  for (const [port] of [text, ...files.map(({ content }) => content)].join('\n').matchAll(EXAMPLE_PORT)) {
    if (!ports.has(port)) ports.set(port, String(await freePort()));
  }
  const local = (original: string): string =>
    original.replace(EXAMPLE_PORT, (port) => ports.get(port) ?? port);
  mkdirSync(path.join(folder, 'examples'));
  for (const { name, content } of files) writeFileSync(path.join(folder, 'examples', name), local(content));
  const packages = path.join(folder, 'node_modules');
  mkdirSync(path.join(packages, '.bin'), { recursive: true });
  symlinkSync(root, path.join(packages, 'tulle'));
  symlinkSync('../tulle/dist/cli/main.js', path.join(packages, '.bin', 'tulle'));
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  return { folder, local };
}

const EXAMPLE_PORT = /\b1[89]\d{3}\b/g;

/** A command that was run to its end, or as far as what it was to say. */
export interface Outcome {
  readonly status: number | NodeJS.Signals | null;
  readonly output: string;
}

/** Starts a command; its output is gathered. It ends with the scope, and everything it started with it. */
export function startCommand(scope: Scope, command: string, { folder }: Place): RunningCommand {
  const child = spawn('bash', ['-c', command], {
    cwd: folder,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, npm_config_update_notifier: 'false' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      output += part;
    });
  }
  const ended = once(child, 'close').then(([code, signal]): Outcome => ({ status: code ?? signal, output }));
  scope.teardown(async () => {
    killGroup(child);
    await ended;
  });
  return { ended, says: (text) => waitFor({ ended, output: () => output }, text) };
}

/** A command under way. */
export interface RunningCommand {
  readonly ended: Promise<Outcome>;
  /** Resolves with all it has printed once this is part of it; rejects when it ends without. */
  readonly says: (text: string) => Promise<string>;
}

async function waitFor(
  { ended, output }: { readonly ended: Promise<Outcome>; readonly output: () => string },
  text: string,
): Promise<string> {
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (!output().includes(text)) {
    if (over) throw new Error(`ended without saying ${text}:\n${output()}`);
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 10))]);
  }
  return output();
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}
