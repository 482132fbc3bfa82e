// Loading: files that cannot be read, objects that are none, files that a configuration names, and mutations of good
// configurations, which are refused with diagnostics and never with an exception.

import { chmodSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'tap';
import { BOUNDS } from '../../src/config/bounds.js';
import { DIAGNOSTIC_CODES, formatDiagnostics, toPathText } from '../../src/config/diagnostic.js';
import { checkFiles } from '../../src/config/files.js';
import { loadConfigFile, loadConfigObject, loadConfigText, type ProxyConfig } from '../../src/config/load.js';
import { compile } from '../../src/engine/compile.js';
import { root } from './root.js';

const OPTIONS = { baseDir: '/etc/tulle', defaultWorkers: 2 };

test('a file that cannot be read is a diagnostic', async (t) => {
  const folder = t.testdir({
    inner: {},
    'latin.yaml': Buffer.from('listeners:\n  "b\xfcro": {}\n', 'latin1'),
  });
  const codeOf = async (name: string): Promise<string> => {
    const { config, diagnostics } = await loadConfigFile(path.join(folder, name));
    t.equal(config, null);
    return diagnostics.map(({ code, line, column }) => `${code} ${line}:${column}`).join();
  };
  t.equal(await codeOf('none.yaml'), 'UNREADABLE null:null');
  t.equal(await codeOf('latin.yaml/x'), 'UNREADABLE null:null');
  t.equal(await codeOf('inner'), 'IS_A_MESH null:null');
  t.equal(await codeOf('latin.yaml'), 'BAD_ENCODING 2:5');
  const big = path.join(folder, 'big.yaml');
  writeFileSync(big, '');
  truncateSync(big, BOUNDS.fileBytes + 1);
  t.equal(await codeOf('big.yaml'), 'TOO_LARGE null:null');
  const missing = await loadConfigFile(path.join(folder, 'none.yaml'));
  t.match(formatDiagnostics(missing.diagnostics), /none\.yaml {2}UNREADABLE {2}there is no such file\n$/);
});

test('a byte order mark is skipped', async (t) => {
  const bytes = Buffer.from('\uFEFFlisteners: { web: { address: "127.0.0.1:1" } }');
  const { config, diagnostics } = loadConfigText(bytes, { file: 'x.yaml', baseDir: '/' });
  t.same(diagnostics, []);
  t.ok(config);
});

test('deep and wide texts end quickly', async (t) => {
  for (const text of [
    '['.repeat(20_000),
    `a: ${'{a: '.repeat(20_000)}`,
    '- '.repeat(20_000),
    `${'? '.repeat(10_000)}a`,
    `&a [${'*a,'.repeat(5000)}]`,
    `a: "${'\\u0041'.repeat(10_000)}`,
  ]) {
    const began = process.cpuUsage();
    const { config, diagnostics } = loadConfigText(Buffer.from(text), { file: 'x.yaml', baseDir: '/' });
    const { user, system } = process.cpuUsage(began);
    t.equal(config, null);
    t.ok(diagnostics.length > 0, text.slice(0, 20));
    t.ok((user + system) / 1e6 < 10, `${text.slice(0, 20)} took ${(user + system) / 1e6} s`);
  }
});

test('an object is the same language', async (t) => {
  const config: ProxyConfig = {
    workers: 1,
    listeners: {
      web: { address: '127.0.0.1:0', limits: { headerTimeout: '2s' } },
      admin: { address: '127.0.0.1:0', admin: true },
    },
    services: {
      api: { endpoints: ['127.0.0.1:1', { address: 'unix:app.sock', weight: 2 }], connectTimeout: '1s' },
    },
    routes: [{ name: 'all', hostnames: undefined, rules: [{ backends: [{ service: 'api' }] }] }],
  };
  const loaded = loadConfigObject(config, '/srv/app');
  t.same(loaded.diagnostics, []);
  t.equal(loaded.baseDir, '/srv/app');
  if (loaded.config === null) return;
  const snapshot = compile(loaded.config, { baseDir: loaded.baseDir, defaultWorkers: 9 });
  const yaml = loadConfigText(Buffer.from(JSON.stringify(config)), { file: 'x.yaml', baseDir: '/srv/app' });
  t.ok(yaml.config);
  if (yaml.config !== null)
    t.same(compile(yaml.config, { baseDir: '/srv/app', defaultWorkers: 9 }), snapshot);
  t.equal(snapshot.workers, 1);
  t.same(snapshot.services[0]?.endpoints[1]?.address, { kind: 'unix', path: '/srv/app/app.sock' });
});

test('an object that is no configuration is told by path', async (t) => {
  const cycle: Record<string, unknown> = {};
  cycle.listeners = { web: cycle };
  const throwing = Object.defineProperty({}, 'listeners', {
    enumerable: true,
    get() {
      throw new Error('never');
    },
  });
  for (const [input, expected] of [
    [undefined, 'configuration  MISSING_KEY'],
    [null, 'configuration  BAD_TYPE'],
    ['text', 'configuration  BAD_TYPE'],
    [[], 'configuration  BAD_TYPE'],
    [{}, 'listeners  MISSING_KEY'],
    [{ listeners: { web: { adress: '' } } }, 'listeners.web.address  MISSING_KEY'],
    [{ listeners: { 'a b': {} } }, 'listeners["a b"]  BAD_NAME'],
    [{ listeners: new Map() }, 'listeners  BAD_TYPE  an instance of a class'],
    [{ listeners: { web: { address: () => '' } } }, 'listeners.web.address  BAD_TYPE  a function'],
    [{ listeners: { web: { address: 1n } } }, 'listeners.web.address  BAD_TYPE  a bigint'],
    [JSON.parse('{"listeners":{"__proto__":{"address":"127.0.0.1:1"}}}'), 'listeners.__proto__  BAD_NAME'],
    [cycle, 'TOO_LARGE  objects and arrays are nested deeper'],
    [{ routes: new Array(BOUNDS.values + 1) }, 'routes  TOO_LARGE'],
    [throwing, 'configuration  BAD_TYPE  reading the object failed'],
    [{ trustDomain: 'x' }, 'trustDomain  IS_A_MESH'],
  ] as const) {
    const { config, diagnostics } = loadConfigObject(input);
    t.equal(config, null);
    t.match(formatDiagnostics(diagnostics), expected, expected);
    t.ok(diagnostics.every(({ file, line, column }) => file === null && line === null && column === null));
  }
});

test('one problem of a value is told once', async (t) => {
  const { diagnostics } = loadConfigObject({ listeners: new Date() });
  t.equal(diagnostics.length, 1);
});

test('what is cited in a message cannot draw on the screen', async (t) => {
  const { diagnostics } = loadConfigObject({
    'a\n\u001b[31mb\u202e': 1,
    listeners: { web: { address: 'x'.repeat(5000) } },
  });
  for (const { message, path: at } of diagnostics) {
    t.notMatch(message + at, /[\p{Cc}\p{Cf}]/u);
    t.ok(message.length < 500);
  }
  t.match(diagnostics.map(({ message }) => message).join(), 'a\\u{a}\\u{1b}[31mb\\u{202e}');
});

test('paths are written as people read them', async (t) => {
  t.equal(toPathText([]), '');
  t.equal(toPathText(['routes', 0, 'rules', 12, 'x-y']), 'routes[0].rules[12].x-y');
  t.equal(toPathText(['a b', 'c"d']), '["a b"]["c\\"d"]');
});

test('files that a configuration names are looked for', async (t) => {
  const folder = t.testdir({ 'a.crt': '', 'a.key': '', 'open.key': '', 'hidden.pem': '', folder: {} });
  chmodSync(path.join(folder, 'a.key'), 0o600);
  chmodSync(path.join(folder, 'open.key'), 0o644);
  chmodSync(path.join(folder, 'hidden.pem'), 0o000);
  const text = [
    'listeners:',
    '  web:',
    '    address: "127.0.0.1:1"',
    '    tls:',
    '      certificates:',
    '        - { cert: a.crt, key: a.key }',
    '        - { cert: none.crt, key: open.key }',
    'services:',
    '  api:',
    '    endpoints: ["a.test:1"]',
    '    tls: { trustBundle: folder, identity: { cert: a.crt/x, key: hidden.pem } }',
  ].join('\n');
  const loaded = loadConfigText(Buffer.from(text), { file: 'x.yaml', baseDir: folder });
  t.same(loaded.diagnostics, []);
  const found = formatDiagnostics(await checkFiles(loaded)).replaceAll(`${folder}/`, '');
  const lines = [
    'x.yaml:7:19  MISSING_FILE  the listener `web`: none.crt does not exist',
    'x.yaml:7:34  EXPOSED_KEY  warning: the listener `web`: everybody on this machine may read or change the private key open.key  (chmod 600 open.key)',
    'x.yaml:11:25  MISSING_FILE  the service `api`: folder is not a file',
    'x.yaml:11:51  MISSING_FILE  the service `api`: a.crt/x does not exist',
  ];
  // Root may read everything.
  if (process.getuid?.() !== 0)
    lines.push('x.yaml:11:65  MISSING_FILE  the service `api`: hidden.pem may not be read by this user');
  t.equal(found, `${lines.join('\n')}\n`);
  t.same(await checkFiles({ source: null }), []);
});

test('the examples find the files that are made for them', async (t) => {
  const folder = t.testdir({});
  mkdirSync(path.join(folder, 'certs'));
  writeFileSync(path.join(folder, 'edge.yaml'), readFileSync(path.join(root, 'examples/edge.yaml')));
  const file = path.join(folder, 'edge.yaml');
  const codes = async () => (await checkFiles(await loadConfigFile(file))).map(({ code }) => code);
  t.same(await codes(), ['MISSING_FILE', 'MISSING_FILE']);
  for (const name of ['edge.crt', 'edge.key'])
    writeFileSync(path.join(folder, 'certs', name), '', { mode: 0o600 });
  t.same(await codes(), []);
});

/** A small generator (mulberry32), so that a failure can be run again. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  '',
  'x',
  'yes',
  '5s',
  '127.0.0.1:1',
  '/a',
  '%',
  '[',
  '*',
  'spiffe://a/b',
  'web',
  'v1',
  'mutual',
  'tcp',
  '\0',
  '\ud800',
  'constructor',
  'a'.repeat(9000),
  [],
  {},
  [[]],
  [null],
  { a: 1 },
  { constructor: 1 },
  { address: 1 },
  { prefix: '/' },
];

const KEYS = [
  'constructor',
  'toString',
  'a',
  '',
  '0',
  'x y',
  'address',
  'tls',
  'mode',
  'service',
  'listeners',
  '\ud800',
  '<<',
];

/** Changes one place of a tree of values: replaces it, takes it out, adds beside it, doubles it, or moves another there. */
function mutate(tree: unknown, random: (below: number) => number): unknown {
  const pick = <T>(items: readonly T[]): T | undefined => items[random(items.length)];
  if (typeof tree !== 'object' || tree === null || random(8) === 0) return pick(VALUES);
  if (Array.isArray(tree)) {
    const copy: unknown[] = [...tree];
    const at = random(copy.length + 1);
    if (random(6) === 0) copy.splice(at, random(2), pick(VALUES), copy[0]);
    else if (at < copy.length) copy[at] = mutate(copy[at], random);
    return copy;
  }
  const copy: Record<string, unknown> = { ...tree };
  const key = pick(Object.keys(copy)) ?? 'a';
  const kind = random(8);
  if (kind === 0) delete copy[key];
  else if (kind === 1) copy[pick(KEYS) ?? 'a'] = copy[key];
  else copy[key] = mutate(copy[key], random);
  return copy;
}

test('no mutation of a configuration throws: it compiles, or there are diagnostics', async (t) => {
  const names = ['everything', 'path-rules', 'odd-names', 'aliases'].map(
    (name) => `test/golden/${name}.yaml`,
  );
  const files = [
    ...names,
    'examples/edge.yaml',
    'examples/canary.yaml',
    'examples/resilience.yaml',
    'examples/hop-server.yaml',
    'examples/tcp.yaml',
  ];
  const codes = new Set<string>();
  let compiled = 0;
  for (const file of files) {
    const text = readFileSync(path.join(root, file));
    const source = loadConfigText(text, { file, baseDir: '/' }).source?.value;
    t.ok(source, file);
    for (let seed = 0; seed < 120; seed += 1) {
      const random = createRandom(seed);
      let tree: unknown = source;
      for (let count = random(3); count >= 0; count -= 1) tree = mutate(tree, random);
      const { config, diagnostics } = loadConfigObject(tree, '/');
      for (const { code } of diagnostics) codes.add(code);
      if (config !== null) {
        compiled += 1;
        compile(config, OPTIONS);
      } else if (diagnostics.length === 0) {
        t.fail(`${file}, seed ${seed}: refused without a word`);
      }
      const unknown = diagnostics.filter(
        ({ code, message }) => !Object.hasOwn(DIAGNOSTIC_CODES, code) || message === '',
      );
      if (unknown.length > 0) t.fail(`${file}, seed ${seed}: ${JSON.stringify(unknown)}`);
    }
  }
  t.ok(compiled > 10, `${compiled} still compiled`);
  t.ok(codes.size > 15, `${codes.size} codes were met`);
});

test('no mutation of a text throws', async (t) => {
  const text = readFileSync(path.join(root, 'test/golden/everything.yaml'), 'latin1');
  const random = createRandom(7);
  const pieces = [
    '\t',
    '\n',
    '{',
    '}',
    '[',
    ']',
    ': ',
    '&a ',
    '*a',
    '!x ',
    '"',
    "'",
    '? ',
    '- ',
    '---\n',
    '%',
    '#',
    '\0',
    '\xff',
    '<<: ',
    '|',
    '>',
  ];
  let refused = 0;
  for (let round = 0; round < 60; round += 1) {
    let mutated = text;
    for (let count = random(4); count >= 0; count -= 1) {
      const at = random(mutated.length);
      mutated = mutated.slice(0, at) + pieces[random(pieces.length)] + mutated.slice(at + random(3));
    }
    const { config, diagnostics } = loadConfigText(Buffer.from(mutated, 'latin1'), {
      file: 'x.yaml',
      baseDir: '/',
    });
    if (config === null) {
      refused += 1;
      if (diagnostics.length === 0) t.fail(`round ${round}: refused without a word`);
    }
  }
  t.ok(refused > 10, `${refused} were refused`);
});
