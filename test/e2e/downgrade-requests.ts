// HTTP/2 requests that an HTTP/1 upstream would misread if they were passed on as they are, and unusual ones that are
// fine: what the client is told, and what reaches the upstream. Every row is sent on a connection of its own.

import { data, frame, get, headers, type Line, lines, TYPE } from './frames.js';

/** A request that reached the upstream. */
export interface Reached {
  /** The lines of its head, in order. */
  readonly head: readonly string[];
  readonly body?: string;
  /** It may as well not have reached it. */
  readonly maybe?: boolean;
}

/** One request. */
export interface Downgrade {
  readonly name: string;
  /** Bytes behind the preface; the request is stream 1. */
  readonly send: readonly Buffer[];
  /** `broken`: stream or connection error; a number: answered with this status, and no more. */
  readonly seen: 'broken' | number;
  /** What reached the upstream; `cut`: nothing, or a request visibly cut. */
  readonly upstream: 'cut' | 'nothing' | Reached;
}

type Row = readonly [name: string, list: readonly Line[]];

/** Refused before anything went upstream, with a body and without. */
function refused(rows: readonly Row[]): Downgrade[] {
  return rows.flatMap(([name, list]): Downgrade[] => [
    { name, send: [headers(1, list)], seen: 'broken', upstream: 'nothing' },
    {
      name: `${name}, with a body`,
      send: [headers(1, list, false), data(1, 'GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n')],
      seen: 'broken',
      upstream: 'nothing',
    },
  ]);
}

/** The usual lines with one replaced. */
function instead(name: string, ...values: readonly string[]): Line[] {
  return get().flatMap((line): Line[] =>
    line[0] === name ? values.map((value): Line => [name, value]) : [line],
  );
}

/** The usual lines and more. */
function more(...list: readonly Line[]): Line[] {
  return [...get(), ...list];
}

const INJECTED = '\r\nGET /evil HTTP/1.1\r\nHost: evil\r\n\r\n';

const names: Row[] = (
  [
    ['CR', 'x-a\rb'],
    ['LF', 'x-a\nb'],
    ['CR LF and a field', 'x-a: 1\r\nx-evil'],
    ['NUL', 'x-a\0b'],
    ['a space inside', 'x-a b'],
    ['a space first', ' x-a'],
    ['a space last', 'x-a '],
    ['a tab', 'x-a\tb'],
    ['a colon inside', 'x-a:b'],
    ['a colon last', 'x-a: '],
    ['a colon for transfer-encoding', 'transfer-encoding:chunked'],
    ['an upper-case letter', 'X-a'],
    ['all upper case', 'CONTENT-LENGTH'],
    ['DEL', 'x-a\x7f'],
    ['a byte above 127', 'x-\xe9'],
    ['quotes', '"x"'],
    ['a slash', 'x/a'],
    ['brackets', 'x[a]'],
    ['nothing', ''],
    ['an unknown pseudo-header field', ':evil'],
    ['the status', ':status'],
    ['only a colon', ':'],
  ] as const
).map(([what, name]) => [`name with ${what}`, more([name, '1'])]);

const values: Row[] = (
  [
    ['CR', 'a\rb'],
    ['LF', 'a\nb'],
    ['CR LF and a field', 'a\r\nx-evil: 1'],
    ['CR LF and a request', `a${INJECTED}`],
    ['LF and a field', 'a\ntransfer-encoding: chunked'],
    ['NUL', 'a\0b'],
    ['LF last', 'a\n'],
    ['LF first', '\na'],
    ['CR last', 'a\r'],
    ['an escape byte', 'a\x1bb'],
    ['DEL', 'a\x7fb'],
    ['a space first', ' a'],
    ['a space last', 'a '],
    ['a tab first', '\ta'],
  ] as const
).map(([what, value]) => [`value with ${what}`, more(['x-a', value])]);

const pseudo: Row[] = [
  ['method with a space', instead(':method', 'GET /evil HTTP/1.1')],
  ['method with CR LF', instead(':method', `GET / HTTP/1.1${INJECTED}GET`)],
  ['method with LF', instead(':method', 'GET\nX')],
  ['method with NUL', instead(':method', 'GET\0')],
  ['method with a colon', instead(':method', 'G:T')],
  ['empty method', instead(':method', '')],
  ['no method', instead(':method')],
  ['two methods', instead(':method', 'GET', 'POST')],
  ['path with a space and a version', instead(':path', '/ HTTP/1.1')],
  ['path with CR LF', instead(':path', `/ HTTP/1.1${INJECTED}`)],
  ['path with LF', instead(':path', '/\nx: 1')],
  ['path with CR', instead(':path', '/\r')],
  ['path with NUL', instead(':path', '/\0')],
  ['path with a tab', instead(':path', '/\tHTTP/1.1')],
  ['path with a fragment', instead(':path', '/#a')],
  ['empty path', instead(':path', '')],
  ['no path', instead(':path')],
  ['two paths', instead(':path', '/', '/evil')],
  ['path without a slash', instead(':path', 'evil')],
  ['path that is a query', instead(':path', '?a')],
  ['asterisk for GET', instead(':path', '*')],
  ['absolute target', instead(':path', 'http://evil/')],
  ['absolute target with our authority', instead(':path', 'http://a/')],
  ['authority for a path', instead(':path', 'evil:443')],
  ['no scheme', instead(':scheme')],
  ['two schemes', instead(':scheme', 'http', 'https')],
  ['scheme with CR LF', instead(':scheme', `http${INJECTED}`)],
  ['scheme with a target', instead(':scheme', 'http://evil/?')],
  ['unknown scheme', instead(':scheme', 'ftp')],
  ['empty scheme', instead(':scheme', '')],
  ['authority with CR LF', instead(':authority', `a${INJECTED}`)],
  ['authority with LF', instead(':authority', 'a\nb')],
  ['authority with NUL', instead(':authority', 'a\0')],
  ['authority with a space', instead(':authority', 'a evil')],
  ['authority with a path', instead(':authority', 'a/evil')],
  ['authority with user information', instead(':authority', 'user@a')],
  ['authority with two ports', instead(':authority', 'a:1:2')],
  ['empty authority', instead(':authority', '')],
  ['no authority and no host', instead(':authority')],
  ['two authorities', instead(':authority', 'a', 'evil')],
  ['host against authority', more(['host', 'evil'])],
  ['two hosts', more(['host', 'a'], ['host', 'a'])],
  ['host with a port against authority without', more(['host', 'a:81'])],
  ['empty host beside an authority', more(['host', ''])],
  ['protocol without CONNECT', more([':protocol', 'websocket'])],
  ['CONNECT with path and scheme', instead(':method', 'CONNECT')],
  ['pseudo-header field behind a field', [...get().slice(1), ['x-a', '1'], [':method', 'GET']]],
];

const connection: Row[] = [
  ['Transfer-Encoding: chunked', more(['transfer-encoding', 'chunked'])],
  ['transfer-encoding: identity', more(['transfer-encoding', 'identity'])],
  ['empty transfer-encoding', more(['transfer-encoding', ''])],
  ['transfer-encoding and content-length', more(['transfer-encoding', 'chunked'], ['content-length', '3'])],
  ['connection: close', more(['connection', 'close'])],
  ['connection that names a field', more(['connection', 'x-a'], ['x-a', '1'])],
  ['connection: upgrade', more(['connection', 'upgrade'], ['upgrade', 'h2c'], ['http2-settings', 'AAAA'])],
  ['upgrade', more(['upgrade', 'websocket'])],
  ['keep-alive', more(['keep-alive', 'timeout=5'])],
  ['proxy-connection', more(['proxy-connection', 'keep-alive'])],
  ['te: gzip', more(['te', 'gzip'])],
  ['te: trailers and more', more(['te', 'trailers, chunked'])],
];

const lengths: Row[] = (
  [
    ['that is negative', '-1'],
    ['with a sign', '+3'],
    ['in hexadecimal', '0x3'],
    ['as a list', '3, 3'],
    ['with a space inside', '3 3'],
    ['of 2^64', '18446744073709551616'],
    ['of 2^64 - 1', '18446744073709551615'],
    ['with a fraction', '3.0'],
    ['that is empty', ''],
    ['that is a word', 'chunked'],
  ] as const
).map(([what, value]) => [`content-length ${what}`, more(['content-length', value])]);

/** A length that is well-formed, and what follows. */
function against(name: string, length: string, ...parts: readonly string[]): Downgrade {
  const list = [...get('/', 'POST'), ['content-length', length] as const];
  const body = parts.map((part, index) => data(1, part, index === parts.length - 1));
  return { name, send: [headers(1, list, parts.length === 0), ...body], seen: 'broken', upstream: 'cut' };
}

/** What the length announces may have gone on before the rest is there; the rest never does. */
function toldApart(name: string, body: string, rest: string): Downgrade {
  const row = against(name, String(body.length), body, rest);
  return { ...row, upstream: { head: [...POST, `Content-Length: ${body.length}`], body, maybe: true } };
}

const POST = ['POST / HTTP/1.1', 'Host: a'];

const mismatched: Downgrade[] = [
  against('content-length without a body', '3'),
  against('more DATA than content-length', '3', `abc${INJECTED}`),
  toldApart('more DATA than content-length, in pieces', 'abc', INJECTED),
  against('less DATA than content-length', '10', 'abc'),
  against('less DATA than content-length, ended by an empty frame', '10', 'abc', ''),
  toldApart('DATA against a content-length of 0', '', INJECTED),
];

const differing: Downgrade = {
  name: 'two content-lengths that differ',
  send: [headers(1, more(['content-length', '3'], ['content-length', '4']), false), data(1, 'abc')],
  seen: 'broken',
  upstream: 'nothing',
};

/** Trailers that must not go on; the request before them was fine so far. */
function trailers(rows: readonly Row[]): Downgrade[] {
  return rows.map(([name, list]) => ({
    name: `trailers: ${name}`,
    send: [headers(1, get('/', 'POST'), false), data(1, 'abc', false), headers(1, list)],
    seen: 'broken',
    upstream: 'cut',
  }));
}

const badTrailers = trailers([
  ['a path', [[':path', '/evil']]],
  ['a status', [[':status', '200']]],
  ['an unknown pseudo-header field', [[':evil', '1']]],
  ['transfer-encoding', [['transfer-encoding', 'chunked']]],
  ['connection', [['connection', 'close']]],
  ['keep-alive', [['keep-alive', '1']]],
  ['upgrade', [['upgrade', 'h2c']]],
  ['CR LF in a value', [['x-a', `1${INJECTED}`]]],
  ['LF in a name', [['x-a\nb', '1']]],
  ['an upper-case name', [['X-A', '1']]],
  ['NUL in a value', [['x-a', '\0']]],
  ['an empty name', [['', '1']]],
]);

/** Answered 200; the upstream got this head and body. */
function passed(
  name: string,
  send: readonly Buffer[],
  upstream: { readonly head: readonly string[]; readonly body?: string },
): Downgrade {
  return { name, send, seen: 200, upstream };
}

const fine: Downgrade[] = [
  passed('plain', [headers(1, get())], { head: ['GET / HTTP/1.1', 'Host: a'] }),
  passed('a body that looks like a request', [headers(1, get('/', 'POST'), false), data(1, INJECTED)], {
    head: [...POST, 'Transfer-Encoding: chunked'],
    body: INJECTED,
  }),
  passed(
    'a body that looks like the last chunk',
    [headers(1, get('/', 'POST'), false), data(1, `0\r\n${INJECTED}`)],
    {
      head: [...POST, 'Transfer-Encoding: chunked'],
      body: `0\r\n${INJECTED}`,
    },
  ),
  passed(
    'a body of its length',
    [headers(1, [...get('/', 'POST'), ['content-length', '3']], false), data(1, 'abc')],
    { head: [...POST, 'Content-Length: 3'], body: 'abc' },
  ),
  passed('host for an authority', [headers(1, [...instead(':authority'), ['host', 'a']])], {
    head: ['GET / HTTP/1.1', 'host: a'],
  }),
  passed('host that is the authority', [headers(1, more(['host', 'a']))], {
    head: ['GET / HTTP/1.1', 'host: a'],
  }),
  passed('asterisk for OPTIONS', [headers(1, get('*', 'OPTIONS'))], {
    head: ['OPTIONS * HTTP/1.1', 'Host: a'],
  }),
  passed('te: trailers', [headers(1, more(['te', 'trailers']))], {
    head: ['GET / HTTP/1.1', 'Host: a', 'TE: trailers', 'Connection: TE'],
  }),
  passed('a cookie in pieces', [headers(1, more(['cookie', 'a=1'], ['x-b', '2'], ['cookie', 'c=3']))], {
    head: ['GET / HTTP/1.1', 'Host: a', 'cookie: a=1; c=3', 'x-b: 2'],
  }),
  passed('an empty value', [headers(1, more(['x-a', '']))], { head: ['GET / HTTP/1.1', 'Host: a', 'x-a: '] }),
  passed('bytes above 127 in a value', [headers(1, more(['x-a', '\xe9\xff']))], {
    head: ['GET / HTTP/1.1', 'Host: a', 'x-a: \xe9\xff'],
  }),
];

const trailing: Downgrade[] = (
  [
    ['content-length', [['content-length', '99']]],
    ['host', [['host', 'evil']]],
    ['authorization', [['authorization', 'x']]],
    ['te', [['te', 'trailers']]],
    ['trailer', [['trailer', 'x']]],
  ] as const
).map(([name, list]) => ({
  name: `trailers: ${name} does not go on`,
  send: [headers(1, get('/', 'POST'), false), data(1, 'abc', false), headers(1, list)],
  seen: 200,
  upstream: { head: [...POST, 'Transfer-Encoding: chunked'], body: 'abc' },
}));

const sizes: Downgrade[] = [
  {
    name: 'a list that is too large',
    send: [headers(1, more(...Array.from({ length: 20 }, (): Line => ['x-a', 'v'.repeat(4000)])))],
    seen: 'broken',
    upstream: 'nothing',
  },
  {
    name: 'a value that is too large',
    send: [headers(1, more(['x-a', 'v'.repeat(62_000)]))],
    seen: 'broken',
    upstream: 'nothing',
  },
  {
    name: 'too many fields',
    send: [headers(1, more(...Array.from({ length: 101 }, (_, index): Line => [`x-${index}`, ''])))],
    seen: 431,
    upstream: 'nothing',
  },
  {
    name: 'a method that is too long',
    send: [headers(1, get('/', 'M'.repeat(33)))],
    seen: 501,
    upstream: 'nothing',
  },
  {
    name: 'an expectation that nobody knows',
    send: [headers(1, more(['expect', 'miracles']))],
    seen: 417,
    upstream: 'nothing',
  },
  {
    name: 'headers of another request between those of one',
    send: [frame(TYPE.HEADERS, { stream: 1, payload: lines(get()) }), headers(3, get('/evil'))],
    seen: 'broken',
    upstream: 'nothing',
  },
];

/** The table. */
export const DOWNGRADES: readonly Downgrade[] = [
  ...refused([...names, ...values, ...pseudo, ...connection, ...lengths]),
  ...mismatched,
  differing,
  ...badTrailers,
  ...fine,
  ...trailing,
  ...sizes,
];
