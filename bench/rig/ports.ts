// Hands out free ports below the ephemeral range. A port is never given twice in one run.

import { listening } from './sockets.js';
import { RigError } from './tools.js';

const FIRST = 20_000;
const COUNT = 12_000;

/** A source of free ports from 20000 to 31999. */
export class Ports {
  readonly #seed: number;
  #given = 0;

  /** Two benchmarks at once begin at different places: the seed is the process id. */
  constructor(seed: number = process.pid) {
    this.#seed = (seed * 97) % COUNT;
  }

  /** A port that nothing listens on now. */
  take(): number {
    const busy = new Set(listening().map((socket) => socket.port));
    while (this.#given < COUNT) {
      const port = FIRST + ((this.#seed + this.#given) % COUNT);
      this.#given += 1;
      if (!busy.has(port)) return port;
    }
    throw new RigError('no free port from 20000 to 31999');
  }
}
