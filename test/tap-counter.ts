// Counts what one program's TAP output says. In: its lines, as they come. Out: how many assertions passed, failed and
// were skipped, and the lines that explain each failure. Knows the part of TAP 14 that tap writes.

/** What a test program came to. */
export interface TapCount {
  passed: number;
  failed: number;
  skipped: number;
  /** Names of failed assertions with the lines that belong to them. */
  readonly failures: string[];
}

/** A stream of lines and what they came to so far. */
export interface TapCounter {
  line(text: string): void;
  readonly count: TapCount;
}

/** The failures below one level of nesting since its last test point: its own summary repeats them. */
interface Level {
  points: number;
  failed: number;
}

const POINT = /^((?: {4})*)(not )?ok\b(?: \d+)?(?: - )?(.*)$/;

/** Begins with nothing counted. */
export function createTapCounter(): TapCounter {
  return new Counter();
}

class Counter implements TapCounter {
  readonly count: TapCount = { passed: 0, failed: 0, skipped: 0, failures: [] };
  /** By depth of nesting. */
  readonly #levels: Level[] = [];
  /** The indentation of the diagnostic block we are in, which may contain anything. */
  #block: string | undefined;
  #lastFailed = false;

  line(text: string): void {
    if (this.#inBlock(text)) return;
    if (/^Bail out!/.test(text)) this.#fail(text);
    const point = POINT.exec(text);
    if (point === null) return;
    this.#point({ depth: (point[1] ?? '').length / 4, ok: point[2] === undefined, name: point[3] ?? '' });
  }

  #inBlock(text: string): boolean {
    if (this.#block === undefined) {
      const opening = /^( +)---$/.exec(text);
      if (opening === null) return false;
      this.#block = opening[1];
      return true;
    }
    if (this.#lastFailed) this.#explain(text);
    if (text === `${this.#block}...`) this.#block = undefined;
    return true;
  }

  #point({ depth, ok, name }: { depth: number; ok: boolean; name: string }): void {
    const below = this.#levels[depth + 1];
    this.#levels.length = Math.min(this.#levels.length, depth + 1);
    this.#lastFailed = false;
    const failedBefore = this.count.failed;
    if (/ # (SKIP|TODO)\b/i.test(name)) this.count.skipped += 1;
    // A summary of a subtest counts only when it says more than its assertions did: a timeout, a wrong plan.
    else if (below !== undefined && below.points > 0) {
      if (!ok && below.failed === 0) this.#fail(name);
    } else if (ok) this.count.passed += 1;
    else this.#fail(name);
    for (let at = 0; at <= depth; at += 1) {
      const level = this.#levels[at] ?? { points: 0, failed: 0 };
      this.#levels[at] = level;
      level.points += 1;
      level.failed += this.count.failed - failedBefore;
    }
  }

  #fail(name: string): void {
    this.count.failed += 1;
    this.count.failures.push(name);
    this.#lastFailed = true;
  }

  #explain(text: string): void {
    const last = this.count.failures.length - 1;
    this.count.failures[last] += `\n${text}`;
  }
}
