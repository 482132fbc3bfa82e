// Answers that an upstream should never give, and what becomes of each: the client gets a 502, an answer that is visibly
// cut, or the part that can be trusted; never a byte of `smuggled` in a later answer.

/** What the client must see. */
export type Seen =
  /** A 502 of ours. */
  | 'refused'
  /** A head, and a body without an end; or a 502. */
  | 'cut'
  /** This status and body, whole. */
  | { readonly status: number; readonly body: string };

/** One answer. */
export interface HostileAnswer {
  readonly name: string;
  /** What the upstream sends, each piece in a segment of its own. */
  readonly pieces: readonly string[];
  readonly method?: string;
  /** What the upstream does behind it. Default: nothing. */
  readonly ends?: 'close' | 'reset';
  /** True: the proxy must end the upstream's connection for it before anything else is asked. */
  readonly settles?: boolean;
  readonly seen: Seen;
}

const SMUGGLED = 'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled';

type Row = readonly [name: string, bytes: string];

function refused(rows: readonly Row[]): HostileAnswer[] {
  return rows.map(([name, bytes]) => ({ name, pieces: [bytes], seen: 'refused' }));
}

/** A head with these fields and this body. */
function ok(fields: readonly string[], body = ''): string {
  return ['HTTP/1.1 200 OK', ...fields, '', body].join('\r\n');
}

const heads = refused([
  ['no blank before the status', 'HTTP/1.1200 OK\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status below 100', 'HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n'],
  ['a status above 599', 'HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n'],
  ['a status with a sign', 'HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n'],
  ['no blank behind the status', 'HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n'],
  ['two blanks before the status', 'HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a tab before the status', 'HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['HTTP/2', 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['the version in lower case', 'http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['ICY', 'ICY 200 OK\r\n\r\n'],
  ['a request for an answer', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['binary rubbish', '\x00\x01\x02\xff\r\n\r\n'],
  ['SMTP', '220 mail ESMTP\r\n'],
  ['a NUL in the reason', 'HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n'],
  ['an escape in the reason', 'HTTP/1.1 200 \x1b[2J\r\nContent-Length: 0\r\n\r\n'],
  ['a bare CR in the reason', 'HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n'],
  ['an empty line first', `\r\n${ok(['Content-Length: 0'])}`],
  ['lines ended by LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
  ['one line ended by LF', 'HTTP/1.1 200 OK\r\nX-A: b\nContent-Length: 0\r\n\r\n'],
  ['a bare CR between fields', ok(['X-A: b\rContent-Length: 5', 'Content-Length: 0'])],
  ['a blank before the colon', ok(['X-A : b', 'Content-Length: 0'])],
  ['a folded line', ok(['X-A: b', ' c', 'Content-Length: 0'])],
  ['a line without a colon', ok(['X-A', 'Content-Length: 0'])],
  ['a line without a name', ok([': b', 'Content-Length: 0'])],
  ['a blank in a name', ok(['X A: b', 'Content-Length: 0'])],
  ['a NUL in a value', ok(['X-A: b\0c', 'Content-Length: 0'])],
  ['a control character in a value', ok(['X-A: b\x02c', 'Content-Length: 0'])],
  ['257 fields', ok([...Array.from({ length: 256 }, (_, i) => `X-${i}: v`), 'Content-Length: 0'])],
  [
    'a head of 140 KB',
    ok([...Array.from({ length: 20 }, (_, i) => `X-${i}: ${'v'.repeat(7000)}`), 'Content-Length: 0']),
  ],
  ['a head without an end', ok([`X-A: ${'v'.repeat(140_000)}`]).slice(0, -4)],
]);

const framing = refused([
  ['a length and chunks', ok(['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n')],
  ['two equal lengths', ok(['Content-Length: 2', 'Content-Length: 2'], 'ok')],
  ['two lengths', ok(['Content-Length: 2', 'content-length: 10'], 'ok')],
  ['a list of lengths', ok(['Content-Length: 2, 2'], 'ok')],
  ['a length with a sign', ok(['Content-Length: +2'], 'ok')],
  ['a negative length', ok(['Content-Length: -2'], 'ok')],
  ['a length in hexadecimal', ok(['Content-Length: 0x2'], 'ok')],
  ['an empty length', ok(['Content-Length:'], 'ok')],
  ['a length above 63 bits', ok(['Content-Length: 9223372036854775808'], 'ok')],
  ['chunked twice', ok(['Transfer-Encoding: chunked, chunked'], '0\r\n\r\n')],
  ['two Transfer-Encodings', ok(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n')],
  ['chunked not last', ok(['Transfer-Encoding: chunked, gzip'], '0\r\n\r\n')],
  ['gzip, chunked', ok(['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n')],
  ['identity', ok(['Transfer-Encoding: identity'], 'ok')],
  ['chunked with a vertical tab', ok(['Transfer-Encoding: \x0bchunked'], '0\r\n\r\n')],
  ['a folded Transfer-Encoding', ok(['Transfer-Encoding:', ' chunked'], '0\r\n\r\n')],
  ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a bad Connection', ok(['Connection: a b', 'Content-Length: 2'], 'ok')],
  [
    '101 that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n',
  ],
  ['101 without an Upgrade', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  [
    'interim answers without end',
    'HTTP/1.1 102 Processing\r\n\r\n'.repeat(40) + ok(['Content-Length: 2'], 'ok'),
  ],
]);

/** An answer that breaks off; the head may or may not be out already. */
function cut(rows: readonly Row[], ends?: 'close' | 'reset'): HostileAnswer[] {
  return rows.flatMap(([name, bytes]): HostileAnswer[] => {
    const end = bytes.indexOf('\r\n\r\n') + 4;
    const rest = ends === undefined ? {} : { ends };
    return [
      { name, pieces: [bytes], seen: 'cut', ...rest },
      { name: `${name}, in pieces`, pieces: [bytes.slice(0, end), bytes.slice(end)], seen: 'cut', ...rest },
    ];
  });
}

function chunked(body: string): string {
  return ok(['Transfer-Encoding: chunked'], body);
}

const bodies: HostileAnswer[] = [
  ...cut([
    ['a chunk size of letters', chunked('2\r\nok\r\nsmuggled\r\n0\r\n\r\n')],
    ['a chunk size with a sign', chunked('2\r\nok\r\n-1\r\n\r\n')],
    ['a chunk size above 63 bits', chunked('2\r\nok\r\nffffffffffffffff\r\n')],
    ['LF behind a chunk size', chunked('2\nok\r\n0\r\n\r\n')],
    ['a chunk longer than announced', chunked('2\r\nokay\r\n0\r\n\r\n')],
    ['a chunk extension with LF', chunked('2;a\nb\r\nok\r\n0\r\n\r\n')],
    ['a trailer that is none', chunked('2\r\nok\r\n0\r\nsmuggled\r\n\r\n')],
    ['trailers of 16 KB', chunked(`2\r\nok\r\n0\r\nX-A: ${'v'.repeat(16_384)}\r\n\r\n`)],
  ]),
  ...cut(
    [
      ['a length that is not reached', ok(['Content-Length: 10'], 'short')],
      ['chunks without the last', chunked('2\r\nok\r\n')],
      ['half a chunk', chunked('a\r\nshort')],
      ['trailers without an end', chunked('2\r\nok\r\n0\r\nX-A: b\r\n')],
    ],
    'close',
  ),
  ...cut(
    [
      ['a reset within a length', ok(['Content-Length: 10'], 'short')],
      ['a reset within chunks', chunked('2\r\nok\r\n')],
    ],
    'reset',
  ),
  { name: 'half a head', pieces: ['HTTP/1.1 200 OK\r\nContent-Le'], ends: 'close', seen: 'refused' },
  { name: 'no answer at all', pieces: [], ends: 'close', seen: 'refused' },
  { name: 'a reset instead of an answer', pieces: [], ends: 'reset', seen: 'refused' },
];

const surplus: HostileAnswer[] = [
  {
    name: 'two answers to one request',
    pieces: [ok(['Content-Length: 2'], 'ok') + SMUGGLED],
    seen: { status: 200, body: 'ok' },
  },
  {
    name: 'a second answer a moment later',
    pieces: [ok(['Content-Length: 2'], 'ok'), SMUGGLED],
    settles: true,
    seen: { status: 200, body: 'ok' },
  },
  {
    name: 'an answer behind the last chunk',
    pieces: [chunked('2\r\nok\r\n0\r\n\r\n') + SMUGGLED],
    seen: { status: 200, body: 'ok' },
  },
  {
    name: 'an answer behind a 204',
    pieces: [`HTTP/1.1 204 No Content\r\n\r\n${SMUGGLED}`],
    seen: { status: 204, body: '' },
  },
  {
    name: 'a 204 with a length and a body',
    pieces: [`HTTP/1.1 204 No Content\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`],
    seen: { status: 204, body: '' },
  },
  {
    name: 'a 204 with chunks',
    pieces: ['HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    seen: { status: 204, body: '' },
  },
  {
    name: 'a 304 with a body',
    pieces: [`HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\nsmuggled`],
    seen: { status: 304, body: '' },
  },
  {
    name: 'HEAD with a body',
    method: 'HEAD',
    pieces: [ok(['Content-Length: 8'], 'smuggled')],
    seen: { status: 200, body: '' },
  },
  {
    name: 'HEAD with chunks',
    method: 'HEAD',
    pieces: [chunked('8\r\nsmuggled\r\n0\r\n\r\n')],
    seen: { status: 200, body: '' },
  },
  {
    name: 'an interim answer first',
    pieces: [`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok(['Content-Length: 2'], 'ok')}`],
    seen: { status: 200, body: 'ok' },
  },
  {
    name: 'an interim answer, in pieces',
    pieces: ['HTTP/1.1 100 Continue\r\n', '\r\nHTTP/1.1 200', ' OK\r\nContent-Length: 2\r\n\r\no', 'k'],
    seen: { status: 200, body: 'ok' },
  },
  {
    name: 'a body until the connection ends',
    pieces: [ok([], 'ok')],
    ends: 'close',
    seen: { status: 200, body: 'ok' },
  },
  {
    name: 'HTTP/1.0',
    pieces: ['HTTP/1.0 200 OK\r\n\r\nok'],
    ends: 'close',
    seen: { status: 200, body: 'ok' },
  },
  {
    name: 'a status without a reason',
    pieces: ['HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok'],
    seen: { status: 200, body: 'ok' },
  },
  {
    name: 'letters above ASCII',
    pieces: [ok(['X-A: \xe9', 'Content-Length: 2'], 'ok')],
    seen: { status: 200, body: 'ok' },
  },
  {
    name: 'Connection: close and more bytes',
    pieces: [ok(['Connection: close', 'Content-Length: 2'], 'ok') + SMUGGLED],
    seen: { status: 200, body: 'ok' },
  },
];

/** All of them. */
export const ANSWERS: readonly HostileAnswer[] = [...heads, ...framing, ...bodies, ...surplus];
