// Finds the word that was probably meant, for "did you mean" hints.

/** The candidate nearest to `word`, if one is near enough to be a slip of the pen. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  // Words of one or two letters are all near to each other.
  const bound = word.length < 3 ? 0 : Math.max(1, Math.floor(Math.min(word.length, 24) / 3));
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = distanceBetween(word.toLowerCase(), candidate.toLowerCase(), bound);
    if (distance <= bound && (best === undefined || distance < best.distance)) best = { candidate, distance };
  }
  return best?.candidate;
}

/** How far apart two words are; one that begins with the other counts as a slip, `match` for `matches`. */
function distanceBetween(word: string, candidate: string, bound: number): number {
  if (bound > 0 && (candidate.startsWith(word) || word.startsWith(candidate))) return bound;
  if (Math.abs(candidate.length - word.length) > bound) return Number.POSITIVE_INFINITY;
  return editDistance(word, candidate);
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1];
      let cost = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        cost = Math.min(cost, (beforeLast[column - 2] ?? 0) + 1);
      }
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[to.length] ?? 0;
}

/** A hint: the word that was probably meant, or what there is to choose from. */
export function suggest(word: string, candidates: readonly string[]): string | undefined {
  const near = nearest(word, candidates);
  if (near !== undefined) return `did you mean \`${near}\`?`;
  if (candidates.length === 0) return undefined;
  const shown = candidates.slice(0, 16).join(', ');
  return `there ${candidates.length === 1 ? 'is' : 'are'}: ${shown}${candidates.length > 16 ? ', …' : ''}`;
}
