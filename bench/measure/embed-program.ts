// A Node program that embeds Tulle as its users do, and holds its own JavaScript thread when told to. In: the package's
// entry and a configuration file as arguments, then messages; out: `ready`, `held`.

import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** What this program uses of the package. */
interface Embedded {
  createProxy(config: unknown): { start(): Promise<void>; close(): Promise<void> };
}

/** How long the thread is held, in milliseconds. */
const HOLD_MS = 1000;

const [entry = '', file = ''] = process.argv.slice(2);
const { createProxy }: Embedded = await import(pathToFileURL(entry).href);
const proxy = createProxy(JSON.parse(readFileSync(file, 'utf8')));
await proxy.start();

process.on('message', (message) => {
  if (message === 'hold') {
    process.send?.('held');
    // After this turn's message has left: until then the main thread would hold back its own answer.
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, HOLD_MS));
  } else {
    process.send?.('ready');
  }
});
process.on('disconnect', () => process.exit());
