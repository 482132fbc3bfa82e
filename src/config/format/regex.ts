// Looks over a regular expression in the syntax of Rust's regex crate, which runs it in linear time, so that what the
// data plane would refuse is told where it is written. Lookaround and backreferences are not part of that syntax.
// In: the text. Out: the problem with it, or nothing. The data plane, which compiles it, has the last word.

import type { Problem } from '../diagnostic.js';

/** Bytes of a regular expression. */
const MAX_BYTES = 1024;
/** Groups and classes inside each other. */
const MAX_DEPTH = 64;
/** The largest count in `{n,m}`. */
const MAX_REPEAT = 1000;

const CLASS_NAMES =
  /^\[:\^?(alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit):\]/;

/** Checks one regular expression. */
export function checkRegex(text: string): Problem | undefined {
  if (Buffer.byteLength(text) > MAX_BYTES) {
    return { code: 'OUT_OF_RANGE', message: `a regular expression has at most ${MAX_BYTES} bytes` };
  }
  if (!/^[ -~]*$/.test(text)) {
    return {
      code: 'BAD_REGEX',
      message: 'a regular expression has a control character or a character beyond ASCII in it',
      hint: 'paths have only ASCII; other characters are escaped there, as in %C3%A9',
    };
  }
  const complaint = new Scanner(text).scan();
  if (complaint === undefined) return undefined;
  const { message, hint, at } = complaint;
  return {
    code: 'BAD_REGEX',
    message: `${message} (character ${at + 1})`,
    ...(hint === undefined ? {} : { hint }),
  };
}

interface Complaint {
  readonly at: number;
  readonly message: string;
  readonly hint?: string;
}

class Scanner {
  readonly #text: string;
  readonly #names = new Set<string>();
  readonly #groups: number[] = [];
  #at = 0;
  /** Whether there is something before that `*` could repeat. */
  #repeatable = false;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): Complaint | undefined {
    if (this.#text === '') return this.#bad('the expression is empty');
    while (this.#at < this.#text.length) {
      const complaint = this.#step();
      if (complaint !== undefined) return complaint;
    }
    const open = this.#groups.at(-1);
    return open === undefined ? undefined : { at: open, message: 'a group is not closed' };
  }

  #step(): Complaint | undefined {
    const character = this.#text[this.#at];
    switch (character) {
      case '\\':
        this.#repeatable = true;
        return this.#escape();
      case '[':
        this.#repeatable = true;
        return this.#class(0);
      case '(':
        return this.#group();
      case ')':
        if (this.#groups.pop() === undefined) return this.#bad('a group is closed that was not opened');
        this.#repeatable = true;
        break;
      case '|':
        this.#repeatable = false;
        break;
      case '*':
      case '+':
      case '?':
        if (!this.#repeatable) return this.#bad(`\`${character}\` has nothing to repeat`);
        break;
      case '{':
        return this.#count();
      default:
        this.#repeatable = true;
    }
    this.#at += 1;
    return undefined;
  }

  #count(): Complaint | undefined {
    if (!this.#repeatable) return this.#bad('`{` has nothing to repeat', 'a literal brace is written \\{');
    const found = /^\{(\d+)(,(\d*))?\}/.exec(this.#rest());
    if (found === null)
      return this.#bad('`{` begins no count', 'write {n}, {n,} or {n,m}; a literal brace is \\{');
    const low = Number(found[1]);
    const high = found[3] === undefined || found[3] === '' ? low : Number(found[3]);
    if (high < low) return this.#bad(`the count ${found[0]} ends before it begins`);
    if (high > MAX_REPEAT) return this.#bad(`the count ${found[0]} is above ${MAX_REPEAT}`);
    this.#at += found[0].length;
    return undefined;
  }

  #group(): Complaint | undefined {
    const rest = this.#rest();
    if (/^\(\?<?[=!]/.test(rest))
      return this.#bad('lookaround is not supported', 'it cannot run in linear time');
    const opener = /^\((\?(P?<([A-Za-z_][\w.[\]]*)>|([imsU]*(-[imsU]+)?)([:)])))?/.exec(rest);
    const [whole = '', kind, , name, flags = '', , end] = opener ?? [];
    const isUnknown = kind === undefined && rest.startsWith('(?');
    if (isUnknown || (end === ')' && flags === '') || /([imsU]).*\1/.test(flags)) {
      return this.#bad('an unknown kind of group', 'write (…), (?:…), (?P<name>…) or (?i)');
    }
    if (name !== undefined && this.#names.has(name)) return this.#bad(`two groups are named ${name}`);
    if (name !== undefined) this.#names.add(name);
    const start = this.#at;
    this.#at += whole.length;
    this.#repeatable = false;
    if (end === ')') return undefined;
    this.#groups.push(start);
    return this.#groups.length > MAX_DEPTH ? this.#bad('groups are nested too deeply') : undefined;
  }

  #class(depth: number): Complaint | undefined {
    const start = this.#at;
    if (depth > MAX_DEPTH) return this.#bad('classes are nested too deeply');
    // A `-`, or else a `]`, that comes first stands for itself.
    this.#at += /^\[\^?(-+|\]?)/.exec(this.#rest())?.[0].length ?? 1;
    while (this.#at < this.#text.length) {
      if (this.#text[this.#at] === ']') {
        this.#at += 1;
        return undefined;
      }
      const complaint = this.#classItem(depth);
      if (complaint !== undefined) return complaint;
    }
    return { at: start, message: 'a class is not closed', hint: 'a literal bracket is written \\[' };
  }

  #classItem(depth: number): Complaint | undefined {
    const rest = this.#rest();
    const whole = CLASS_NAMES.exec(rest) ?? /^(&&|--|~~)/.exec(rest);
    if (whole !== null) {
      this.#at += whole[0].length;
      return undefined;
    }
    if (rest.startsWith('[')) return this.#class(depth + 1);
    const start = this.#at;
    const first = this.#classAtom();
    if (typeof first === 'object') return first;
    if (!/^-[^\]-]/.test(this.#rest())) return undefined;
    this.#at += 1;
    const last = this.#classAtom();
    if (typeof last === 'object') return last;
    if (first >= 0 && last >= first) return undefined;
    const range = this.#text.slice(start, this.#at);
    return { at: start, message: `\`${range}\` is not a range`, hint: 'a literal dash is written \\-' };
  }

  /** Reads one character of a class: its code, -1 for a class such as `\d`, or what is wrong with it. */
  #classAtom(): number | Complaint {
    const start = this.#at;
    if (this.#text[start] !== '\\') {
      this.#at += 1;
      return this.#text.charCodeAt(start);
    }
    const next = this.#text[start + 1] ?? '';
    if (/[bBAz<>]/.test(next)) return this.#bad(`\`\\${next}\` means nothing in a class`);
    const complaint = this.#escape();
    if (complaint !== undefined) return complaint;
    if (/[dDwWsS]/.test(next)) return -1;
    const known = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 }[next];
    if (known !== undefined) return known;
    const isHex = this.#at > start + 2;
    return isHex ? hexOf(this.#text.slice(start, this.#at)) : next.charCodeAt(0);
  }

  #escape(): Complaint | undefined {
    const rest = this.#rest();
    const next = rest[1];
    if (next === undefined) return this.#bad('the expression ends with a backslash');
    if (/[1-9k]/.test(next))
      return this.#bad('backreferences are not supported', 'they cannot run in linear time');
    if (/[pP]/.test(next))
      return this.#bad(`\`\\${next}\` classes are not supported`, 'list the characters: [a-z]');
    const hex = /^\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[xuU]\{[0-9A-Fa-f]{1,8}\})/.exec(rest);
    if (hex !== null) {
      if (hexOf(hex[0]) > 0x7f) return this.#bad(`\`${hex[0]}\` is beyond ASCII`, 'paths have only ASCII');
      this.#at += hex[0].length;
      return undefined;
    }
    if (!/^[dDwWsSbBAzaftnrv!-/:-@[-`{-~ ]$/.test(next)) {
      return this.#bad(
        `\`\\${next}\` is not an escape`,
        'the character itself is written without the backslash',
      );
    }
    this.#at += 2;
    return undefined;
  }

  #rest(): string {
    return this.#text.slice(this.#at);
  }

  #bad(message: string, hint?: string): Complaint {
    return { at: this.#at, message, ...(hint === undefined ? {} : { hint }) };
  }
}

/** The code in an escape such as `\x41` or `\u{41}`. */
function hexOf(text: string): number {
  return Number.parseInt(text.replace(/[^0-9A-Fa-f]/g, ''), 16);
}
