// The small grammars: tables of what is taken and what is not.

import { test } from 'tap';
import type { Problem } from '../../src/config/diagnostic.js';
import { adaptiveOf, backoffMaxOf, healthTimesOf, maxEjectionOf } from '../../src/config/effective.js';
import { parseEndpoint, parseSocketAddress, toAddressText } from '../../src/config/format/address.js';
import { checkHostname, toComparableHostname } from '../../src/config/format/hostname.js';
import {
  checkCookieName,
  checkCookieValue,
  checkEditableHeaderName,
  checkHeaderValue,
  checkMethod,
} from '../../src/config/format/http.js';
import { checkPath } from '../../src/config/format/path.js';
import { checkRegex } from '../../src/config/format/regex.js';
import { checkSpiffeId, checkTrustDomain } from '../../src/config/format/spiffe.js';
import { share } from '../../src/config/schema/scalar.js';
import { nearest } from '../../src/config/suggest.js';
import { MAX_DURATION_MS, parseDuration, toDuration } from '../../src/lib/duration.js';
import { systemCode, TulleError } from '../../src/lib/errors.js';

interface Table {
  readonly name: string;
  readonly check: (text: string) => Problem | undefined;
  readonly good: readonly string[];
  readonly bad: readonly string[];
}

const TABLES: readonly Table[] = [
  {
    name: 'cookie name',
    check: checkCookieName,
    good: ['a', '__Host-a', 'A.b-c_d!', 'x'.repeat(256)],
    bad: ['', 'a b', 'a=b', 'a;', 'a,b', '"a"', 'ä', 'x'.repeat(257)],
  },
  {
    name: 'cookie value',
    check: checkCookieValue,
    good: ['', 'a', 'a=b', '"a"', 'a b', 'a,b', 'ä', 'x'.repeat(8192)],
    bad: ['a;b', ';', ' a', 'a ', ' ', '\ta', 'a\0b', 'a\nb', 'x'.repeat(8193)],
  },
  {
    name: 'regex',
    check: checkRegex,
    good: [
      '/a',
      '/t/[a-z]+/.*',
      '/(a|b)?',
      '/a{2}b{2,}c{2,3}',
      '/[^/]+',
      '/[]a]',
      '/[^]a]',
      '/[a-]',
      '/[-a]',
      '/[[:alpha:][:^digit:]]',
      '/[a-z&&[^aeiou]]',
      '/\\d+\\.\\w',
      '/\\x41\\x{7e}\\u0041',
      '(?i)/a',
      '/(?i:a)b',
      '/(?P<id>\\d+)/(?<other>x)',
      '^/a$',
      '/a*?b+?',
      '/\\[\\]\\{\\}',
      '/}',
      '/]',
      '/\\x7E',
      '/\\b',
      '/(?:a)',
      '.*',
      '/[\\]\\-\\\\]',
      '/(?-i:a)',
      '/a|/b|',
      '/[a\\d-]',
      '[--)]',
      '[a--b]',
      '[0-[:alpha:]',
      '[---&]',
      '[a-z~~b-c]',
    ],
    bad: [
      '',
      '(',
      ')',
      '/[',
      '/[a',
      '/[]',
      '/[^]',
      '/[z-a]',
      '?',
      '/(*)',
      '/a|*',
      '/a{',
      '/a{,2}',
      '/a{x}',
      '{2}',
      '/a{3,2}',
      '/a{1001}',
      '/\\',
      '/\\1',
      '/\\k<a>',
      '/\\pL',
      '/\\P{L}',
      '/\\q',
      '/\\é',
      '/é',
      '/[é]',
      '/\\x{1F600}',
      '/\\xFF',
      '/a\n',
      '(?u)/a',
      '(?)',
      '(?ii)',
      '[\\b]',
      '[\\z]',
      '[a-\\d]',
      '[\\d-z]',
      '[a-\\]]',
      '[z-\\x41]',
      '[a-[b]]',

      '/\\x4',
      '/(?=a)',
      '/(?!a)',
      '/(?<=a)',
      '/(?<!a)',
      '/(?>a)',
      '/(?P=a)',
      '/(?#a)',
      '/(?P<a>x)(?P<a>y)',
      '/(?P<1>x)',
      `/${'('.repeat(65)}${')'.repeat(65)}`,
      `/${'['.repeat(66)}`,
      `/${'a'.repeat(1024)}`,
      `/${'(a)'.repeat(342)}`,
    ],
  },
  {
    name: 'path',
    check: checkPath,
    good: ['/', '/a', '/a/', '/a.b/..c/...', '/%2F', '/a;b', '/a:b@c!$&()*+,=', '/%C3%A9', '/~a_b-c', "/'"],
    bad: [
      '',
      'a',
      '//',
      '/a//b',
      '/.',
      '/a/..',
      '/../a',
      '/%2f',
      '/%41',
      '/%7e',
      '/%',
      '/%4',
      '/%00',
      '/%5C',
      '/\\',
      '/a b',
      '/é',
      '/a?b',
      '/a#b',
      '/\t',
      '/\x7f',
      `/${'a'.repeat(8192)}`,
    ],
  },
  {
    name: 'host name with wildcard',
    check: (text) => checkHostname(text, 'wildcard'),
    good: [
      'a',
      'a.b',
      'A.B.',
      '*.a',
      '*.a.b',
      '10.0.0.1',
      '_dns.a_b.c',
      'a-b.c',
      '[::1]',
      `${'a'.repeat(63)}.b`,
      'xn--bcher-kva.example',
    ],
    bad: [
      '',
      '*',
      '.',
      '.a',
      'a..b',
      '*a.b',
      'a.*',
      '*.*.a',
      'a:1',
      'a/b',
      'http://a',
      '-a',
      'a-',
      'a b',
      'ä',
      '::1',
      '[::g]',
      '[fe80::1%eth0]',
      'a\n',
      `${'a'.repeat(64)}.b`,
      `${'a.'.repeat(127)}b`,
    ],
  },
  {
    name: 'plain host name',
    check: (text) => checkHostname(text, 'plain'),
    good: ['a', 'a.b'],
    bad: ['*.a', '*'],
  },
  {
    name: 'SPIFFE ID',
    check: checkSpiffeId,
    good: ['spiffe://example.test/ns/shop/sa/web', 'spiffe://a/b', 'spiffe://a-b_c.d1/E.f-_'],
    bad: [
      '',
      'web',
      'spiffe://',
      'spiffe:///a',
      'spiffe://a',
      'spiffe://a/',
      'spiffe://A/b',
      'spiffe://a/b/',
      'spiffe://a//b',
      'spiffe://a/./b',
      'spiffe://a/../b',
      'spiffe://a/b%20',
      'spiffe://a/b?c',
      'spiffe://a/b#c',
      'spiffe://a:1/b',
      'spiffe://u@a/b',
      'spiffe://a/*',
      'Spiffe://a/b',
      'https://a/b',
      'spiffe://a/ä',
      ' spiffe://a/b',
      `spiffe://a/${'b'.repeat(2048)}`,
      `spiffe://${'a'.repeat(256)}/b`,
    ],
  },
  {
    name: 'trust domain',
    check: checkTrustDomain,
    good: ['example.test', 'a_b-c'],
    bad: ['', 'A', 'a/b', 'spiffe://a', 'a:1', 'ä'],
  },
  {
    name: 'method',
    check: checkMethod,
    good: ['GET', 'PATCH', 'PURGE', 'x-own', 'M-SEARCH'],
    bad: ['', 'get', 'Post', 'G ET', 'GET\n', 'ä', 'A/B', `${'A'.repeat(257)}`],
  },
  {
    name: 'editable header',
    check: checkEditableHeaderName,
    good: ['x-a', 'X-Forwarded-For', 'authorization', 'Cookie', 'x_b', 'server', 'x-request-id'],
    bad: [
      '',
      'a b',
      'a:',
      'ä',
      'host',
      'Host',
      'CONNECTION',
      'keep-alive',
      'proxy-connection',
      'Transfer-Encoding',
      'transfer_encoding',
      'content-length',
      'Content_Length',
      'te',
      'trailer',
      'upgrade',
      'expect',
      'x-forwarded-client-cert',
      'X_Forwarded_Client_Cert',
      'x-forwarded_client-cert',
      'a\r\nb',
    ],
  },
  {
    name: 'header value',
    check: checkHeaderValue,
    good: ['', 'a', 'a b', 'a\tb', '"q" ; x=1', '~!'],
    bad: [' a', 'a ', '\ta', ' ', 'a\nb', 'a\r', 'a\0', 'é', '\x7f', 'a'.repeat(8193)],
  },
  {
    name: 'endpoint',
    check: (text) => problemIn(parseEndpoint(text)),
    good: [
      '1.2.3.4:80',
      '[::1]:80',
      'a:1',
      'a.b.:65535',
      'unix:/a',
      'unix:a',
      'localhost:80',
      'a_b:1',
      '1a.b2:1',
    ],
    bad: [
      '',
      ':',
      ':80',
      'a',
      'a:',
      'a:0',
      'a:65536',
      'a:01',
      'a:x',
      'a:-1',
      'a:1 ',
      '1.2.3:80',
      '1.2.3.256:80',
      '1.2.3.4.5:80',
      '::1:80',
      '[::1]',
      '[::1:80',
      '[a]:80',
      '[1.2.3.4]:80',
      '[fe80::1%1]:80',
      'unix:',
      'unix:\0',
      'http://a:80',
      '*.a:80',
      'a b:80',
      'ä:80',
    ],
  },
  {
    name: 'listener address',
    check: (text) => problemIn(parseSocketAddress(text)),
    good: ['0.0.0.0:0', '127.0.0.1:65535', '[::]:1', '[::ffff:1.2.3.4]:1'],
    bad: [
      '',
      ':80',
      '*:80',
      'localhost:80',
      'a:80',
      '80',
      '1.2.3.4',
      '1.2.3.4:',
      '1.2.3.04:1',
      '::1:80',
      '[::1]',
      '[::1%lo]:80',
      'unix:/a',
      '1.2.3.4:99999',
      ' 1.2.3.4:1',
    ],
  },
];

function problemIn(parsed: { ok: boolean; problem?: Problem }): Problem | undefined {
  return parsed.ok ? undefined : parsed.problem;
}

for (const { name, check, good, bad } of TABLES) {
  test(name, async (t) => {
    for (const text of good) t.equal(check(text), undefined, `${JSON.stringify(text.slice(0, 40))} is taken`);
    for (const text of bad)
      t.type(check(text)?.message, 'string', `${JSON.stringify(text.slice(0, 40))} is refused`);
  });
}

test('addresses have one way to be written', async (t) => {
  for (const [text, canonical] of [
    ['[2001:DB8:0:0::1]:80', '[2001:db8::1]:80'],
    ['[::FFFF:1.2.3.4]:1', '[::ffff:102:304]:1'],
    ['127.0.0.1:0', '127.0.0.1:0'],
  ] as const) {
    const parsed = parseSocketAddress(text);
    t.equal(parsed.ok && toAddressText(parsed.value), canonical);
  }
  t.same(parseEndpoint('App.Internal.:81'), {
    ok: true,
    value: { kind: 'dns', name: 'app.internal', port: 81 },
  });
  t.equal(toComparableHostname('*.Example.Test.'), '*.example.test');
  t.equal(toComparableHostname('[0:0::1]'), '[::1]');
});

test('a percentage becomes parts per million, to the last one', async (t) => {
  for (let parts = 0; parts <= 1_000_000; parts += parts < 20_000 ? 1 : 97) {
    const text = `${Math.floor(parts / 10_000)}.${String(parts % 10_000).padStart(4, '0')}`;
    if (share().parse(Number(text)) !== parts) t.fail(`${text} % is not ${parts} parts`);
  }
  t.equal(share().parse(1e-4), 1);
  t.equal(share().parse(33.3333), 333_333);
  for (const wrong of [0.000_01, 33.333_33, 0.1 + 0.2, -0.0001, 100.0001, Number.NaN]) {
    t.equal(share().safeParse(wrong).success, false, `${wrong}`);
  }
});

test('defaults that follow from what is written', async (t) => {
  t.equal(backoffMaxOf({ base: 25 }), 250);
  t.equal(backoffMaxOf({ base: 3_000_000 }), 3_600_000, 'at most an hour');
  t.equal(backoffMaxOf({ base: 25, max: 30 }), 30);
  t.equal(maxEjectionOf({ base: 1000 }), 60_000);
  t.equal(maxEjectionOf({ base: 90_000 }), 90_000);
  t.same(healthTimesOf({}), { interval: 5000, idleInterval: 30_000, timeout: 2000 });
  t.same(healthTimesOf({ interval: 500 }), { interval: 500, idleInterval: 500, timeout: 500 });
  t.same(healthTimesOf({ timeout: 9000 }), { interval: 5000, idleInterval: 30_000, timeout: 9000 });
  t.same(adaptiveOf({}, undefined), { min: 4, max: 1024 });
  t.same(adaptiveOf({}, 3), { min: 3, max: 3 });
  t.same(adaptiveOf({ min: 2000 }, undefined), { min: 2000, max: 2000 });
  t.same(adaptiveOf({ max: 10 }, 500), { min: 4, max: 10 });
});

test('durations', async (t) => {
  for (const [text, ms] of [
    ['0s', 0],
    ['1ms', 1],
    ['500ms', 500],
    ['2s', 2000],
    ['5m', 300_000],
    ['24h', 86_400_000],
    ['720h', MAX_DURATION_MS],
  ] as const) {
    t.equal(parseDuration(text), ms, text);
  }
  for (const text of [
    '',
    's',
    '5',
    '5 s',
    '5S',
    '-5s',
    '+5s',
    '1.5s',
    '1e3s',
    '5d',
    '5sec',
    '721h',
    '99999999999ms',
    '5s\n',
    '٥s',
  ]) {
    t.equal(parseDuration(text), undefined, JSON.stringify(text));
  }
  for (const ms of [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, MAX_DURATION_MS]) {
    t.equal(parseDuration(toDuration(ms)), ms, `${ms} comes back`);
  }
});

test('the nearest word', async (t) => {
  const words = ['listeners', 'services', 'routes', 'timeouts', 'weight', 'tls', 'matches', 'v1'];
  for (const [word, near] of [
    ['listner', 'listeners'],
    ['Services', 'services'],
    ['timeout', 'timeouts'],
    ['wieght', 'weight'],
    ['tsl', 'tls'],
    ['match', 'matches'],
    ['v2', undefined],
    ['workers', undefined],
    ['', undefined],
  ] as const) {
    t.equal(nearest(word, words), near, word);
  }
});

test('errors keep their code and cause', async (t) => {
  const cause = new Error('deep');
  const error = new TulleError('ENGINE_REFUSED', 'no', { cause });
  t.equal(TulleError.from(error), error);
  t.equal(TulleError.from(cause).code, 'INTERNAL');
  t.equal(TulleError.from(cause).cause, cause);
  t.equal(TulleError.from('text').message, 'text');
  const system = Object.assign(new Error('no file'), { syscall: 'open', code: 'ENOENT' });
  t.equal(TulleError.from(system).code, 'IO');
  t.equal(systemCode(system), 'ENOENT');
  t.equal(systemCode(cause), undefined);
  t.same(error.diagnostics, []);
});
