// Request paths in conditions and rewrites. Matching sees the normalized path, so a condition that is not normalized
// itself can never fit: that is a problem worth telling.
// In: the text. Out: the problem with it, or nothing.

import type { Problem } from '../diagnostic.js';

const MAX_BYTES = 2048;

/** Checks an exact path or a prefix as requests show it after normalizing. */
export function checkPath(text: string): Problem | undefined {
  const bad = (message: string, hint?: string): Problem => ({
    code: 'BAD_PATH',
    message,
    ...(hint === undefined ? {} : { hint }),
  });
  if (!text.startsWith('/')) return bad(`\`${text}\` does not begin with /`, `write /${text}`);
  if (text.length > MAX_BYTES) return bad(`a path has at most ${MAX_BYTES} bytes`);
  if (/[?#]/.test(text))
    return bad(`\`${text}\` has a query or a fragment`, 'conditions on the query are written under `query`');
  if (!/^[!-~]*$/.test(text) || /["<>\\]/.test(text)) {
    return bad(
      'a path has a space, a control character, one of `"<>\\` or a character beyond ASCII in it',
      'escape it as %XX; a backslash is never let through',
    );
  }
  return checkEscapes(text, bad) ?? checkSegments(text, bad);
}

type Bad = (message: string, hint?: string) => Problem;

function checkEscapes(text: string, bad: Bad): Problem | undefined {
  for (const [found] of text.matchAll(/%.{0,2}/g)) {
    if (!/^%[0-9A-Fa-f]{2}$/.test(found))
      return bad(`\`${found}\` is not an escape`, 'a percent sign is written %25');
    const character = String.fromCharCode(Number.parseInt(found.slice(1), 16));
    if (/[A-Za-z0-9._~-]/.test(character)) {
      return bad(`no request has \`${found}\`: it is decoded before matching`, `write ${character}`);
    }
    if (/^[\0\\]$/.test(character)) return bad(`no request has \`${found}\`: it is refused before matching`);
    if (found !== found.toUpperCase()) {
      return bad(`no request has \`${found}\`: escapes are made upper-case`, `write ${found.toUpperCase()}`);
    }
  }
  return undefined;
}

function checkSegments(text: string, bad: Bad): Problem | undefined {
  if (text.includes('//')) return bad('no request has `//`: it is merged before matching', 'write one /');
  if (text.split('/').some((segment) => segment === '.' || segment === '..')) {
    return bad('no request has `.` or `..` as a segment: they are resolved before matching');
  }
  return undefined;
}
