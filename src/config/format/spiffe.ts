// SPIFFE IDs and trust domains (SPIFFE-ID specification, sections 2.1 and 2.2).
// In: the text. Out: the problem with it, or nothing.

import type { Problem } from '../diagnostic.js';

const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;
const SCHEME = 'spiffe://';
const MAX_BYTES = 2048;

/** Checks a whole workload ID, `spiffe://DOMAIN/PATH`. */
export function checkSpiffeId(text: string): Problem | undefined {
  const bad = (message: string, hint?: string): Problem => ({
    code: 'BAD_SPIFFE_ID',
    message,
    ...(hint === undefined ? {} : { hint }),
  });
  if (!text.startsWith(SCHEME)) {
    return bad(
      `\`${text}\` is not a SPIFFE ID`,
      'outside a mesh, write it whole: spiffe://DOMAIN/ns/NAMESPACE/sa/NAME',
    );
  }
  if (text.includes('*')) return bad('SPIFFE IDs are compared whole, without wildcards', 'list every ID');
  const [domain = '', ...segments] = text.slice(SCHEME.length).split('/');
  if (text.length > MAX_BYTES) return bad(`a SPIFFE ID has at most ${MAX_BYTES} bytes`);
  if (!TRUST_DOMAIN.test(domain)) {
    return bad(
      `\`${domain}\` is not a trust domain`,
      'lower-case letters, digits, dots, dashes and underscores',
    );
  }
  if (segments.length === 0 || segments.join('') === '')
    return bad(`\`${text}\` names a trust domain, not a workload`);
  for (const segment of segments) {
    if (segment === '.' || segment === '..' || !SEGMENT.test(segment)) {
      return bad(
        `\`${text}\` has the path segment \`${segment}\``,
        'letters, digits, dots, dashes and underscores',
      );
    }
  }
  return undefined;
}

/** Checks a trust domain by itself. */
export function checkTrustDomain(text: string): Problem | undefined {
  if (TRUST_DOMAIN.test(text)) return undefined;
  return {
    code: 'BAD_TRUST_DOMAIN',
    message: `\`${text}\` is not a trust domain`,
    hint: text.startsWith(SCHEME)
      ? 'write it without spiffe://'
      : 'lower-case letters, digits, dots, dashes and underscores',
  };
}

/** The trust domain of a well-formed SPIFFE ID. */
export function trustDomainOf(id: string): string {
  return id.slice(SCHEME.length).split('/', 1)[0] ?? '';
}
