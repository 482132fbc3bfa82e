// Random numbers that are the same in every run: the faults and the callers of all contenders follow one seed.

/** Numbers of 0 to 1, 1 excluded, by mulberry32: 32 bits of state, good enough for jitter and coins. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
