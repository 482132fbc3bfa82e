// Requests that clients send by mistake or on purpose, and what becomes of each: what the client is told, and what
// reaches the upstream. Every row is sent on a connection of its own.

/** What the upstream must have got. */
export interface Passed {
  /** Every line of the head, in order. */
  readonly head: readonly string[];
  /** Without its framing; trailers follow, one a line. */
  readonly body?: string;
}

/** One exchange. */
export interface Exchange {
  readonly name: string;
  /** What the client sends, each piece in a segment of its own. */
  readonly send: readonly string[];
  /** The statuses of the answers, in order. */
  readonly statuses: readonly number[];
  /** Methods of the requests, where an answer's form depends on it. */
  readonly methods?: readonly string[];
  /** What reached the upstream, in order; `cut`: nothing, or a request that was visibly cut. */
  readonly upstream: readonly Passed[] | 'cut';
  /** Whether the connection serves another request afterwards. */
  readonly stays: boolean;
}

type Row = readonly [name: string, bytes: string];

/** A request with these fields behind its Host. */
function get(target: string, ...fields: string[]): string {
  return [`GET ${target} HTTP/1.1`, 'Host: a', ...fields, '', ''].join('\r\n');
}

function post(fields: readonly string[], body: string): string {
  return ['POST / HTTP/1.1', 'Host: a', ...fields, '', body].join('\r\n');
}

/** Refused with this status, nothing goes upstream, the connection ends. */
function refused(status: number, rows: readonly Row[]): Exchange[] {
  return rows.map(([name, bytes]) => ({
    name,
    send: [bytes],
    statuses: [status],
    upstream: [],
    stays: false,
  }));
}

/** Answered 200; the upstream got exactly this head and body. */
function passed(name: string, bytes: string | readonly string[], ...upstream: Passed[]): Exchange {
  const send = typeof bytes === 'string' ? [bytes] : bytes;
  return { name, send, statuses: upstream.map(() => 200), upstream, stays: true };
}

/** GET of this target goes on as that one. */
function path(name: string, from: string, to: string): Exchange {
  return passed(`path: ${name}`, get(from), { head: [`GET ${to} HTTP/1.1`, 'Host: a'] });
}

/** GET with these fields goes on with those. */
function fields(name: string, sent: readonly string[], got: readonly string[] = []): Exchange {
  return passed(name, get('/', ...sent), { head: ['GET / HTTP/1.1', 'Host: a', ...got] });
}

/** A chunked body that breaks after a head that was fine. */
function brokenChunks(rows: readonly Row[]): Exchange[] {
  const head = post(['Transfer-Encoding: chunked'], '');
  return rows.flatMap(([name, body]): Exchange[] => [
    { name: `chunks: ${name}`, send: [head + body], statuses: [400], upstream: 'cut', stays: false },
    {
      name: `chunks: ${name}, in pieces`,
      send: [head, body],
      statuses: [400],
      upstream: 'cut',
      stays: false,
    },
  ]);
}

const requestLines: Exchange[] = [
  ...refused(400, [
    ['no version', 'GET /\r\nHost: a\r\n\r\n'],
    ['HTTP/0.9', 'GET /\r\n\r\n'],
    ['the version in lower case', 'GET / http/1.1\r\nHost: a\r\n\r\n'],
    ['a space behind the version', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n'],
    ['two spaces before the target', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['two spaces behind the target', 'GET /  HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['tabs between the words', 'GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a space before the method', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['no target', 'GET HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['no method', '/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['minor version of two digits', 'GET / HTTP/1.10\r\nHost: a\r\n\r\n'],
    ['major version of two digits', 'GET / HTTP/01.1\r\nHost: a\r\n\r\n'],
    ['no minor version', 'GET / HTTP/1\r\nHost: a\r\n\r\n'],
    ['a letter for a version', 'GET / HTTP/1.x\r\nHost: a\r\n\r\n'],
    ['another protocol', 'GET / HTTPS/1.1\r\nHost: a\r\n\r\n'],
    ['ICY', 'GET / ICY/1.1\r\nHost: a\r\n\r\n'],
    ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a NUL in the target', 'GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['DEL in the target', 'GET /a\x7fb HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a raw UTF-8 letter in the target', 'GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a quote in the target', 'GET /"a" HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['angle brackets in the target', 'GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a fragment', get('/a#b')],
    ['a target without a slash', get('a')],
    ['an asterisk for GET', get('*')],
    ['a target of a query alone', get('?a=b')],
    ['a scheme with one slash', get('http:/a/')],
    ['another scheme', get('ftp://a/')],
    ['a scheme without a host', get('http:///x')],
    ['user information', get('http://u:p@a/')],
    ['a host with a space, absolute', get('http://a b/')],
    ['a port that is none, absolute', get('http://a:b/')],
    ['an @ in the method', 'G@T / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a bracket in the method', 'GE(T / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a NUL in the method', 'G\0T / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['a colon for a method', ': / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['lines ended by LF', 'GET / HTTP/1.1\nHost: a\n\n'],
    ['lines ended by CR', 'GET / HTTP/1.1\rHost: a\r\r'],
    ['two CR before LF', 'GET / HTTP/1.1\r\r\nHost: a\r\n\r\n'],
    ['an empty line of LF first', '\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['three empty lines first', `\r\n\r\n\r\n${get('/')}`],
    ['CONNECT of a path', 'CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['CONNECT without a port', 'CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n'],
    [
      'CONNECT with a body',
      'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['TRACE with a body', 'TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx'],
    ['a TLS hello on a plain listener', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['a PROXY header nobody asked for', `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n${get('/')}`],
    ['binary rubbish', '\x00\x01\x02\x03\xff\xfe\r\n\r\n'],
    ['an answer for a request', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ]),
  ...refused(505, [
    ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n'],
    ['HTTP/0.9 as a version', 'GET / HTTP/0.9\r\nHost: a\r\n\r\n'],
    ['HTTP/9.9', 'GET / HTTP/9.9\r\nHost: a\r\n\r\n'],
    ['the HTTP/2 preface behind an empty line', '\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ]),
  ...refused(501, [['a method of 33 letters', `${'M'.repeat(33)} / HTTP/1.1\r\nHost: a\r\n\r\n`]]),
  passed('a method of 32 letters', `${'M'.repeat(32)} / HTTP/1.1\r\nHost: a\r\n\r\n`, {
    head: [`${'M'.repeat(32)} / HTTP/1.1`, 'Host: a'],
  }),
  passed('a method in lower case is another method', 'get / HTTP/1.1\r\nHost: a\r\n\r\n', {
    head: ['get / HTTP/1.1', 'Host: a'],
  }),
  passed('two empty lines first', `\r\n\r\n${get('/')}`, { head: ['GET / HTTP/1.1', 'Host: a'] }),
  passed('a later minor version is 1.1', 'GET / HTTP/1.9\r\nHost: a\r\n\r\n', {
    head: ['GET / HTTP/1.1', 'Host: a'],
  }),
  passed('OPTIONS of everything', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', {
    head: ['OPTIONS * HTTP/1.1', 'Host: a'],
  }),
  passed('an absolute target names the host', 'GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n', {
    head: ['GET /x?y HTTP/1.1', 'Host: b:81'],
  }),
  passed('an absolute target without a path', 'GET HTTP://B HTTP/1.1\r\nHost: a\r\n\r\n', {
    head: ['GET / HTTP/1.1', 'Host: B'],
  }),
  passed('a head in single bytes', [...get('/slow', 'X-A: 1')], {
    head: ['GET /slow HTTP/1.1', 'Host: a', 'X-A: 1'],
  }),
  {
    name: 'CONNECT where it is not configured',
    send: ['CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n'],
    statuses: [405],
    upstream: [],
    stays: true,
  },
  {
    name: 'TRACE that goes no further',
    send: ['TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n'],
    statuses: [405],
    upstream: [],
    stays: true,
  },
  passed('Max-Forwards counts down', 'OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 5\r\n\r\n', {
    head: ['OPTIONS / HTTP/1.1', 'Host: a', 'Max-Forwards: 4'],
  }),
  ...refused(400, [['Max-Forwards of letters', 'OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: x\r\n\r\n']]),
];

const hosts: Exchange[] = [
  ...refused(400, [
    ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
    ['no Host beside an absolute target', 'GET http://a/ HTTP/1.1\r\n\r\n'],
    ['two Hosts', get('/', 'Host: b')],
    ['two equal Hosts', get('/', 'Host: a')],
    ['two Hosts in different case', get('/', 'hOST: b')],
    ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
    ...[
      ...[
        'a b',
        'a/b',
        'u@a',
        'a:b',
        'a:65536',
        'a:-1',
        'a:80:80',
        ':80',
        'a..b',
        '.a',
        'a,b',
        'a%2e',
        '"a"',
        'a?b',
      ],
      ...['[::1', '::1', '[::1]x', '[g::1]', '[fe80::1%25eth0]', 'a#b', 'a\\b', 'a;b', '\xe9', 'http://a'],
    ].map((host): Row => [`Host: ${host}`, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`]),
    ['a bad Host beside an absolute target', 'GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n'],
    ['a Host of 300 letters', `GET / HTTP/1.1\r\nHost: ${'a'.repeat(300)}\r\n\r\n`],
  ]),
  ...['a:80', 'A.Test', '[::1]:8080', '127.0.0.1', 'a.', 'a_b-c', 'a:'].map((host) =>
    passed(`Host: ${host}`, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`, {
      head: ['GET / HTTP/1.1', `Host: ${host}`],
    }),
  ),
  passed('spaces around Host', 'GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n', {
    head: ['GET / HTTP/1.1', 'Host: a'],
  }),
];

const fieldSyntax: Exchange[] = [
  ...refused(400, [
    ['a space before the colon', get('/', 'X-A : b')],
    ['a tab before the colon', get('/', 'X-A\t: b')],
    ['a folded line', get('/', 'X-A: b', ' c')],
    ['a line folded with a tab', get('/', 'X-A: b', '\tc')],
    ['a folded first line', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n'],
    ['no colon', get('/', 'X-A')],
    ['no name', get('/', ': b')],
    ['a space in a name', get('/', 'X A: b')],
    ['a bracket in a name', get('/', 'X(A): b')],
    ['a slash in a name', get('/', 'X/A: b')],
    ['an @ in a name', get('/', 'X@A: b')],
    ['a NUL in a name', get('/', 'X\0A: b')],
    ['a letter above ASCII in a name', get('/', 'X\xe9: b')],
    ['a NUL in a value', get('/', 'X-A: b\0c')],
    ['a control character in a value', get('/', 'X-A: b\x01c')],
    ['a backspace in a value', get('/', 'X-A: b\x08c')],
    ['an escape in a value', get('/', 'X-A: \x1b[31m')],
    ['DEL in a value', get('/', 'X-A: b\x7fc')],
    ['a bare CR in a value', get('/', 'X-A: b\rX-B: c')],
    ['a bare CR that hides a length', get('/', 'X-A: b\rContent-Length: 5')],
    ['a bare LF between fields', 'GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n'],
    [
      'a bare LF that hides chunks',
      'POST / HTTP/1.1\r\nHost: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a head that ends with two LF', 'GET / HTTP/1.1\r\nHost: a\r\n\n'],
    ['CR CR LF behind a value', get('/', 'X-A: b\r')],
    ['CR LF CR and something else', 'GET / HTTP/1.1\r\nHost: a\r\n\rX-A: b\r\n\r\n'],
  ]),
  fields('letters above ASCII in a value', ['X-A: \xe9\xff'], ['X-A: \xe9\xff']),
  fields('a tab in a value', ['X-A: b\tc'], ['X-A: b\tc']),
  fields('an empty value', ['X-A:'], ['X-A: ']),
  fields('blanks around a value', ['X-A:   b \t'], ['X-A: b']),
  fields('no blank before a value', ['X-A:b'], ['X-A: b']),
  fields(
    'the same name three times, in order',
    ['X-A: 1', 'x-a: 2', 'X-A: 3'],
    ['X-A: 1', 'x-a: 2', 'X-A: 3'],
  ),
  fields('every character of a name', ["!#$%&'*+-.^_`|~9: b"], ["!#$%&'*+-.^_`|~9: b"]),
  fields('a value of 8 KB', [`X-A: ${'b'.repeat(8192)}`], [`X-A: ${'b'.repeat(8192)}`]),
];

const body5 = { body: 'hello' };
const framing: Exchange[] = [
  ...refused(400, [
    ['a length and chunks', post(['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n')],
    ['chunks and a length', post(['Transfer-Encoding: chunked', 'Content-Length: 5'], '0\r\n\r\n')],
    ['chunks and a length of 0', post(['Transfer-Encoding: chunked', 'Content-Length: 0'], '0\r\n\r\n')],
    ['two equal lengths', post(['Content-Length: 5', 'Content-Length: 5'], 'hello')],
    ['two lengths', post(['Content-Length: 5', 'content-length: 6'], 'hello!')],
    ...[
      ...['5, 5', '5,6', '+5', '-5', '0x5', '5e0', '5.0', '5 5', '', '"5"', '5;', '\xb5', '5\t5', 'five'],
      ...['9223372036854775808', '18446744073709551616', '99999999999999999999999'],
    ].map((length): Row => [`Content-Length: ${length}`, post([`Content-Length: ${length}`], 'hello')]),
    ...[
      ...[
        'chunked, chunked',
        'chunked, gzip',
        'chunked, identity',
        ',chunked',
        'chunked,',
        'chunk ed',
        '"chunked"',
      ],
      ...['chunked;q=1', '\x0bchunked', 'chunked\x0c', '', 'chunked\xa0', '[chunked]', 'chunked\0'],
    ].map(
      (coding): Row => [
        `Transfer-Encoding: ${JSON.stringify(coding)}`,
        post([`Transfer-Encoding: ${coding}`], '0\r\n\r\n'),
      ],
    ),
    [
      'two Transfer-Encodings',
      post(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
    ],
    [
      'chunked and identity in two',
      post(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], '0\r\n\r\n'),
    ],
    ['a folded Transfer-Encoding', post(['Transfer-Encoding:', ' chunked'], '0\r\n\r\n')],
    ['a blank before the colon of Transfer-Encoding', post(['Transfer-Encoding : chunked'], '0\r\n\r\n')],
    ['a blank before the colon of Content-Length', post(['Content-Length : 5'], 'hello')],
    ['chunks in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ]),
  ...refused(
    501,
    ['gzip', 'identity', 'xchunked', 'gzip, chunked'].map((coding) => [
      `Transfer-Encoding: ${coding}`,
      post([`Transfer-Encoding: ${coding}`], '0\r\n\r\n'),
    ]),
  ),
  passed('a length', post(['Content-Length: 5'], 'hello'), {
    head: ['POST / HTTP/1.1', 'Host: a', 'Content-Length: 5'],
    ...body5,
  }),
  passed('a length with blanks around it', post(['Content-Length: \t5 '], 'hello'), {
    head: ['POST / HTTP/1.1', 'Host: a', 'Content-Length: 5'],
    ...body5,
  }),
  passed('a length of 0', post(['Content-Length: 0'], ''), {
    head: ['POST / HTTP/1.1', 'Host: a', 'Content-Length: 0'],
  }),
  passed('a POST without a body', post([], ''), { head: ['POST / HTTP/1.1', 'Host: a'] }),
  passed('a GET with a body', get('/', 'Content-Length: 5').concat('hello'), {
    head: ['GET / HTTP/1.1', 'Host: a', 'Content-Length: 5'],
    ...body5,
  }),
  passed('a body in single bytes', [post(['Content-Length: 5'], ''), ...'hello'], {
    head: ['POST / HTTP/1.1', 'Host: a', 'Content-Length: 5'],
    ...body5,
  }),
  passed(
    'a body that is a request',
    post(['Content-Length: 34'], 'GET /inner HTTP/1.1\r\nHost: inner\r\n\r'.slice(0, 34)),
    {
      head: ['POST / HTTP/1.1', 'Host: a', 'Content-Length: 34'],
      body: 'GET /inner HTTP/1.1\r\nHost: inner\r\n\r'.slice(0, 34),
    },
  ),
  passed('chunked in another letter case', post(['Transfer-Encoding: ChUnKeD'], '5\r\nhello\r\n0\r\n\r\n'), {
    head: ['POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'],
    ...body5,
  }),
  passed(
    'chunked with blanks around it',
    post(['Transfer-Encoding: \tchunked '], '5\r\nhello\r\n0\r\n\r\n'),
    {
      head: ['POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'],
      ...body5,
    },
  ),
  {
    name: 'a misspelt Transfer-Encoding frames nothing and is not sent on',
    send: [post(['Transfer_Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n')],
    statuses: [200, 400],
    upstream: [{ head: ['POST / HTTP/1.1', 'Host: a'] }],
    stays: false,
  },
  {
    name: 'a misspelt Content-Length frames nothing and is not sent on',
    send: [post(['Content_Length: 5'], 'hello\r\n\r\n')],
    statuses: [200, 400],
    upstream: [{ head: ['POST / HTTP/1.1', 'Host: a'] }],
    stays: false,
  },
  {
    name: 'what follows a short length is another request',
    send: [post(['Content-Length: 2'], `hi${get('/second')}`)],
    statuses: [200, 200],
    upstream: [
      { head: ['POST / HTTP/1.1', 'Host: a', 'Content-Length: 2'], body: 'hi' },
      { head: ['GET /second HTTP/1.1', 'Host: a'] },
    ],
    stays: true,
  },
];

const chunkedHead = ['POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'];

function chunks(name: string, body: string, content: string): Exchange[] {
  const head = post(['Transfer-Encoding: chunked'], '');
  const upstream = { head: chunkedHead, body: content };
  return [
    passed(`chunks: ${name}`, head + body, upstream),
    passed(`chunks: ${name}, byte by byte`, [head, ...body], upstream),
  ];
}

const chunked: Exchange[] = [
  ...chunks('several', '5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n', 'hello world'),
  ...chunks('none', '0\r\n\r\n', ''),
  ...chunks('sizes in capitals and with zeros', '00A\r\n0123456789\r\n000\r\n\r\n', '0123456789'),
  ...chunks('extensions', '5;a;b=c;d="e;\\"f"\r\nhello\r\n0;x\r\n\r\n', 'hello'),
  ...chunks('trailers', '5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More:2\r\n\r\n', 'hello\nX-Sum: 1\nX-More: 2'),
  ...chunks(
    'trailers that come too late',
    '1\r\nx\r\n0\r\nContent-Length: 9\r\nHost: b\r\nTransfer-Encoding: gzip\r\nAuthorization: c\r\nCookie: d\r\n\r\n',
    'x',
  ),
  ...brokenChunks([
    ['no size', '\r\nhello\r\n0\r\n\r\n'],
    ['a size of letters', 'g\r\nhello\r\n0\r\n\r\n'],
    ['a negative size', '-5\r\nhello\r\n0\r\n\r\n'],
    ['a size with a sign', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a size with 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a blank before the size', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a blank behind the size', '5 \r\nhello\r\n0\r\n\r\n'],
    ['an underscore in the size', '0_5\r\nhello\r\n0\r\n\r\n'],
    ['a size above 63 bits', '8000000000000000\r\nhello\r\n0\r\n\r\n'],
    ['a size of 17 digits', '00000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['LF behind the size', '5\nhello\r\n0\r\n\r\n'],
    ['CR behind the size', '5\rhello\r\n0\r\n\r\n'],
    ['LF behind the data', '5\r\nhello\n0\r\n\r\n'],
    ['nothing behind the data', '5\r\nhello0\r\n\r\n'],
    ['more data than announced', '4\r\nhello\r\n0\r\n\r\n'],
    ['an extension without a name', '5;\r\nhello\r\n0\r\n\r\n'],
    ['LF in an extension', '5;a\nGET / HTTP/1.1\r\nhello\r\n0\r\n\r\n'],
    ['CR in an extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
    ['a quote that does not end', '5;a="b\r\nhello\r\n0\r\n\r\n'],
    ['a NUL in an extension', '5;a="\0"\r\nhello\r\n0\r\n\r\n'],
    ['an extension of 2 KB', `5;a=${'b'.repeat(2048)}\r\nhello\r\n0\r\n\r\n`],
    ['LF alone at the end', '5\r\nhello\r\n0\r\n\n'],
    ['LF behind the last size', '5\r\nhello\r\n0\n\r\n'],
    ['a folded trailer', '0\r\nX-A: b\r\n c\r\n\r\n'],
    ['a trailer without a colon', '0\r\nX-A\r\n\r\n'],
    ['a trailer with a blank before its colon', '0\r\nX-A : b\r\n\r\n'],
    ['a trailer that LF ends', '0\r\nX-A: b\n\r\n'],
    ['a trailer with a NUL', '0\r\nX-A: b\0\r\n\r\n'],
    ['a request for a trailer', '0\r\nGET /inner HTTP/1.1\r\n\r\n'],
  ]),
];

const hopByHop: Exchange[] = [
  fields('Connection: keep-alive', ['Connection: keep-alive', 'Keep-Alive: timeout=5'], []),
  fields('nominated fields', ['Connection: X-A, x-b', 'X-A: 1', 'X-B: 2', 'X-C: 3'], ['X-C: 3']),
  fields('nominated in two lines', ['Connection: x-a', 'Connection: x-b', 'X-A: 1', 'X-B: 2'], []),
  fields('a nominated field before Connection', ['X-A: 1', 'Connection: x-a'], []),
  fields(
    'a nominated credential stays',
    ['Authorization: b', 'Connection: authorization'],
    ['Authorization: b'],
  ),
  fields('a nominated cookie stays', ['Cookie: b=c', 'Connection: cookie'], ['Cookie: b=c']),
  fields('a nominated Host stays', ['Connection: host'], []),
  fields('Proxy-Connection', ['Proxy-Connection: keep-alive'], []),
  fields('Proxy-Authorization', ['Proxy-Authorization: Basic eA=='], []),
  fields('TE', ['TE: gzip;q=1'], []),
  fields('TE: trailers', ['TE: trailers', 'Connection: TE'], ['TE: trailers', 'Connection: TE']),
  fields('Trailer without chunks', ['Trailer: X-Sum'], []),
  fields('Upgrade that Connection does not name', ['Upgrade: websocket'], []),
  fields(
    'Upgrade to h2c',
    ['Connection: upgrade, http2-settings', 'Upgrade: h2c', 'HTTP2-Settings: AAA'],
    [],
  ),
  fields('Upgrade to h2c beside another', ['Connection: upgrade', 'Upgrade: websocket, h2c'], []),
  fields('Upgrade to TLS', ['Connection: upgrade', 'Upgrade: TLS/1.2'], []),
  fields('HTTP2-Settings', ['HTTP2-Settings: AAA'], []),
  fields('Proxy, which becomes HTTP_PROXY', ['Proxy: http://evil'], []),
  ...refused(400, [
    ['a Connection that is no list', get('/', 'Connection: a b')],
    ['a Connection with a bad name', get('/', 'Connection: x(a)')],
    [
      'a Connection of 65 names',
      get('/', `Connection: ${Array.from({ length: 65 }, (_, i) => `x${i}`).join()}`),
    ],
  ]),
  {
    ...fields('Connection: close', ['Connection: close'], []),
    stays: false,
  },
  {
    ...fields('Connection: close among others', ['Connection: x-a, CLOSE', 'X-A: 1'], []),
    stays: false,
  },
  ...refused(417, [
    ['an expectation that nobody knows', get('/', 'Expect: miracle')],
    ['two expectations', get('/', 'Expect: 100-continue, miracle')],
    [
      'an expectation twice',
      post(['Expect: 100-continue', 'Expect: 100-continue', 'Content-Length: 1'], 'x'),
    ],
  ]),
];

const identityNames = [
  ...[
    'x-forwarded-client-cert',
    'X-Forwarded-Client-Cert',
    'X_Forwarded_Client_Cert',
    'x-forwarded_client-cert',
  ],
  ...[
    'X.Forwarded.Client.Cert',
    'x-forwarded-client-cert-chain',
    'x-client-cert',
    'X-SSL-Client-Cert',
    'ssl-client-verify',
  ],
  ...[
    'SSL_CLIENT_S_DN',
    'x-ssl-cert',
    'Client-Cert',
    'client_cert_chain',
    'x-tls-client-cn',
    'x-spiffe-id',
    'l5d-client-id',
  ],
  ...[
    'x-envoy-peer-metadata',
    'x-amzn-mtls-clientcert',
    'x-arr-clientcert',
    'X-Client-DN',
    'x-client-verify',
  ],
];

const identity: Exchange[] = [
  ...identityNames.map((name) =>
    fields(`${name} from a client`, [`${name}: spiffe://a/b`, 'X-Z: 1'], ['X-Z: 1']),
  ),
  ...[
    'X-Forwarded-For',
    'X-Forwarded-Proto',
    'X-Forwarded-Host',
    'X-Forwarded-Port',
    'X-Real-IP',
    'Forwarded',
  ].map((name) => fields(`${name} from a client`, [`${name}: 6.6.6.6`], [])),
  ...['X_Forwarded_For', 'X_Real_IP'].map((name) =>
    fields(`${name} from a client`, [`${name}: 6.6.6.6`], []),
  ),
];

const paths: Exchange[] = [
  path('a dot segment', '/a/./b', '/a/b'),
  path('dots at the end', '/a/.', '/a/'),
  path('a parent', '/a/../b', '/b'),
  path('a parent at the end', '/a/b/..', '/a/'),
  path('an encoded parent', '/a/%2e%2E/b', '/b'),
  path('a half-encoded parent', '/a/.%2e/b', '/b'),
  path('three dots are a name', '/a/.../b', '/a/.../b'),
  path('two dots before a name', '/a/..b', '/a/..b'),
  path('two slashes', '/a//b', '/a/b'),
  path('two slashes first', '//evil.test/a', '/evil.test/a'),
  path('many slashes', '////', '/'),
  path('a slash, a dot, a slash', '/./', '/'),
  path('an encoded letter', '/%41%7e%2D', '/A~-'),
  path('an escape in lower case', '/%c3%a9%3a', '/%C3%A9%3A'),
  path('an encoded slash', '/a%2fb', '/a%2Fb'),
  path('a path parameter', '/a;b=c/d', '/a;b=c/d'),
  path('encoded twice', '/a/%25%32%65%252e/b', '/a/%252e%252e/b'),
  path('encoded twice, with a parent', '/a/%252e%252e/b', '/a/%252e%252e/b'),
  path('an encoded line end', '/a%0d%0aX-A:%20b', '/a%0D%0AX-A:%20b'),
  path('an encoded question mark', '/a%3fb', '/a%3Fb'),
  path('a query stays as it is', '/a/../b?x=/../%2e&y=%zz;', '/b?x=/../%2e&y=%zz;'),
  path('an empty query', '/a?', '/a?'),
  path('a second question mark', '/a?b?c', '/a?b?c'),
  ...refused(400, [
    ['path: above the root', get('/..')],
    ['path: above the root, further in', get('/a/../../b')],
    ['path: above the root, encoded', get('/%2e%2e/%2e%2e/etc/passwd')],
    ['path: above the root, behind slashes', get('//..')],
    ['path: a backslash', get('/a\\b')],
    ['path: an encoded backslash', get('/a%5cb')],
    ['path: an encoded NUL', get('/a%00')],
    ['path: half an escape', get('/a%2')],
    ['path: a percent sign', get('/a%')],
    ['path: no hexadecimal digits', get('/a%zz')],
    ['path: above the root, absolute', get('http://a/../b')],
  ]),
];

const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `X-${index}: v`);

const limits: Exchange[] = [
  fields('100 fields', many(99), many(99)),
  ...refused(431, [
    ['101 fields', get('/', ...many(100))],
    [
      'a head above the limit',
      get('/', ...Array.from({ length: 9 }, (_, i) => `X-${i}: ${'v'.repeat(7000)}`)),
    ],
    ['a head above the limit that does not end', get('/', `X-A: ${'v'.repeat(70_000)}`).slice(0, -4)],
  ]),
  ...refused(414, [
    ['a target above the limit', get(`/${'a'.repeat(70_000)}`)],
    ['a target that does not end', `GET /${'a'.repeat(70_000)}`],
  ]),
];

const connections: Exchange[] = [
  {
    name: 'three requests at once',
    send: [get('/1') + get('/2') + get('/3')],
    statuses: [200, 200, 200],
    upstream: ['/1', '/2', '/3'].map((target) => ({ head: [`GET ${target} HTTP/1.1`, 'Host: a'] })),
    stays: true,
  },
  {
    name: 'a request, then rubbish',
    send: [`${get('/1')}rubbish\r\n\r\n`],
    statuses: [200, 400],
    upstream: [{ head: ['GET /1 HTTP/1.1', 'Host: a'] }],
    stays: false,
  },
  {
    name: 'a refused request takes those behind it along',
    send: [get('/1', 'X A: b') + get('/2')],
    statuses: [400],
    upstream: [],
    stays: false,
  },
  {
    name: 'a chunked body, then a request',
    send: [post(['Transfer-Encoding: chunked'], `1\r\nx\r\n0\r\n\r\n${get('/2')}`)],
    statuses: [200, 200],
    upstream: [{ head: chunkedHead, body: 'x' }, { head: ['GET /2 HTTP/1.1', 'Host: a'] }],
    stays: true,
  },
  {
    name: 'Connection: close ends what is sent ahead',
    send: [get('/1', 'Connection: close') + get('/2')],
    statuses: [200],
    upstream: [{ head: ['GET /1 HTTP/1.1', 'Host: a'] }],
    stays: false,
  },
  {
    name: 'HTTP/1.0 ends with its answer',
    send: ['GET / HTTP/1.0\r\nHost: a\r\n\r\n'],
    statuses: [200],
    upstream: [{ head: ['GET / HTTP/1.1', 'Host: a'] }],
    stays: false,
  },
  {
    name: 'HTTP/1.0 without Host',
    send: ['GET / HTTP/1.0\r\n\r\n'],
    statuses: [200],
    upstream: [{ head: ['GET / HTTP/1.1', 'Host: '] }],
    stays: false,
  },
  passed('HTTP/1.0 that asks to be kept', 'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n', {
    head: ['GET / HTTP/1.1', 'Host: a'],
  }),
  {
    ...passed('HEAD', 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', { head: ['HEAD / HTTP/1.1', 'Host: a'] }),
    methods: ['HEAD'],
  },
  {
    name: 'HEAD, then GET',
    send: [`HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\n${get('/2')}`],
    statuses: [200, 200],
    methods: ['HEAD', 'GET'],
    upstream: [{ head: ['HEAD /1 HTTP/1.1', 'Host: a'] }, { head: ['GET /2 HTTP/1.1', 'Host: a'] }],
    stays: true,
  },
];

/** All of them. */
export const EXCHANGES: readonly Exchange[] = [
  ...requestLines,
  ...hosts,
  ...fieldSyntax,
  ...framing,
  ...chunked,
  ...hopByHop,
  ...identity,
  ...paths,
  ...limits,
  ...connections,
];
