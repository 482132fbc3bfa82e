// The files of examples/ run as they are, with one worker and with four, and do what their comments say. Their ports are
// fixed; a port that somebody holds already (a demo that runs) is replaced by a free one.

import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createServer } from 'node:net';
import path from 'node:path';
import type tls from 'node:tls';
import t, { type Test } from 'tap';
import { request, startUpstream, type Upstream } from '../http.js';
import { freePort } from '../ports.js';
import { type Running, root, type Scope, start, startTulle } from '../process.js';
import { certificates } from './rig.js';
import { Wire } from './wire.js';

/** Every fixed port of the three files. */
const PORTS = [18080, 18443, 18900, 18910, 18083, 18445, 18903, 18904, 19001, 19002];

async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

let chosen = new Map<number, number>();

/** Finds out which port stands for each of the fixed ones: itself, wherever nobody holds it. */
async function choosePorts(): Promise<void> {
  chosen = new Map();
  for (const port of PORTS) chosen.set(port, (await isFree(port)) ? port : await freePort());
}

/** The port that stands for this one. */
function at(port: number): number {
  return chosen.get(port) ?? port;
}

/** The folder that the examples lie in, with their certificates. */
const folder = path.dirname(await certificates(t));

function pem(name: string): Buffer {
  return readFileSync(path.join(folder, 'certs', name));
}

/** Starts one of the files with this number of workers, and waits until it serves. */
async function run(
  scope: Scope,
  name: string,
  { workers, change = (text) => text }: { workers: number; change?: (text: string) => string },
): Promise<Running> {
  let text = readFileSync(path.join(root, 'examples', `${name}.yaml`), 'utf8');
  text = /^workers:/m.test(text)
    ? text.replace(/^workers: \d+/m, `workers: ${workers}`)
    : `workers: ${workers}\n${text}`;
  for (const [port, instead] of chosen) text = text.replaceAll(`:${port}`, `:${instead}`);
  const file = path.join(folder, `${name}.yaml`);
  writeFileSync(`${file}.new`, change(text));
  renameSync(`${file}.new`, file);
  const proxy = startTulle(scope, ['proxy', '--config', file]);
  await proxy.says(/^ready/m);
  return proxy;
}

interface Asked {
  readonly host?: string;
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly agent?: http.Agent;
}

/** Asks the plain listener of edge.yaml. */
function ask(target: string, { host = 'api.example.test', headers = {}, ...more }: Asked = {}) {
  return request(`http://127.0.0.1:${at(18080)}${target}`, { ...more, headers: { host, ...headers } });
}

/** One connection, kept. */
function keepAlive(scope: Scope): http.Agent {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  scope.teardown(() => agent.destroy());
  return agent;
}

async function upstreams(scope: Scope): Promise<{ v1: Upstream; v2: Upstream }> {
  return {
    v1: await startUpstream(scope, { port: at(19001), name: 'v1' }),
    v2: await startUpstream(scope, { port: at(19002), name: 'v2' }),
  };
}

async function edgeRoutes(t: Test, { v1, v2 }: { v1: Upstream; v2: Upstream }): Promise<void> {
  t.test('a header picks the canary', async (t) => {
    const canary = await ask('/v1/a', { headers: { 'x-canary': 'yes' } });
    t.match(canary, { status: 200, body: 'v2' });
    t.equal(v2.seen.at(-1)?.url, '/v1/a', 'nothing is rewritten on this rule');
    t.equal(canary.headers['x-served-by'], undefined);
    for (const value of ['Yes', 'no', '', 'yes, yes']) {
      t.equal((await ask('/v1/a', { headers: { 'x-canary': value } })).body, 'v1', `x-canary: ${value}`);
    }
  });

  t.test('a redirect', async (t) => {
    const { status, headers, body } = await ask('/old?a=b');
    t.equal(status, 301);
    const location = new URL(headers.location ?? '', 'http://api.example.test');
    t.match(location, {
      protocol: 'http:',
      hostname: 'api.example.test',
      pathname: '/v1/new',
      search: '?a=b',
    });
    t.equal(body, '');
    t.equal((await ask('/old/more')).status, 200, 'exact is exact');
  });

  t.test('edits and a rewrite', async (t) => {
    const answer = await ask('/v1/a/b?c', {
      headers: { 'X-Internal': '1', X_Internal: '2', 'x-edge': 'client' },
    });
    t.match(answer, { status: 200, body: 'v1', headers: { 'x-served-by': 'tulle' } });
    const got = v1.seen.at(-1);
    t.equal(got?.url, '/a/b?c');
    t.equal(got?.headers['x-edge'], 'tulle');
    t.equal(got?.headers['x-internal'], undefined);
    t.equal(got?.headers.x_internal, undefined);
    t.equal(got?.headers['x-forwarded-for'], '127.0.0.1');
    t.equal(got?.headers['x-forwarded-host'], 'api.example.test');
    t.match(got?.headers['x-request-id'], /^[0-9a-f]{32}$/);
    for (const [target, sent] of [
      ['/v1', '/'],
      ['/v1/', '/'],
      ['/v1//x', '/x'],
      ['/v1/../v1/x', '/x'],
    ] as const) {
      t.equal((await ask(target)).headers['x-served-by'], 'tulle', target);
      t.equal(v1.seen.at(-1)?.url, sent, target);
    }
    t.equal((await ask('/v10')).headers['x-served-by'], undefined, '/v10 is another segment');
  });

  t.test('hosts compare without case, port and final dot', async (t) => {
    for (const host of [
      'API.Example.TEST',
      'api.example.test:1',
      'api.example.test.',
      'Api.Example.Test.:80',
    ]) {
      t.equal((await ask('/v1/a', { host })).headers['x-served-by'], 'tulle', host);
    }
    for (const host of ['example.test', 'x.api.example.test', 'api.example.test.evil', '127.0.0.1']) {
      t.match(await ask('/v1/a', { host }), { status: 200, headers: { 'x-served-by': undefined } }, host);
    }
  });

  t.test('tenants are split by weight', async (t) => {
    const agent = keepAlive(t);
    const count = 400;
    let canaries = 0;
    for (let round = 0; round < count; round += 1) {
      const host = round % 2 === 0 ? 'a.tenants.example.test' : 'a.b.Tenants.example.test';
      const { status, body } = await ask('/t/abc/x?preview=1', { host, agent });
      if (status !== 200) t.fail(`${status} ${body}`);
      canaries += body === 'v2' ? 1 : 0;
    }
    // One in ten: five standard deviations to either side.
    const mean = count / 10;
    const bound = 5 * Math.sqrt(mean * 0.9);
    t.ok(Math.abs(canaries - mean) < bound, `${canaries} of ${count}`);
  });

  t.test('what a tenant rule does not match falls through, to both in turn', async (t) => {
    const host = 'a.tenants.example.test';
    const others: [string, string, Asked][] = [
      ['another method', '/t/abc/x?preview=1', { host, method: 'POST' }],
      ['another path', '/t/ABC/x?preview=1', { host }],
      ['a part of the path', '/x/t/abc/x?preview=1', { host }],
      ['another query', '/t/abc/x?preview=2', { host }],
      ['no query', '/t/abc/x', { host }],
      ['the domain itself', '/t/abc/x?preview=1', { host: 'tenants.example.test' }],
      ['no host that is known', '/', { host: 'else.test' }],
    ];
    for (const [name, target, asked] of others) {
      const agent = keepAlive(t);
      const turns = [];
      for (let round = 0; round < 6; round += 1) turns.push((await ask(target, { ...asked, agent })).body);
      const expected = turns[0] === 'v1' ? ['v1', 'v2'] : ['v2', 'v1'];
      t.same(turns, [...expected, ...expected, ...expected], name);
    }
  });
}

async function edgeTls(t: Test, v1: Upstream): Promise<void> {
  const url = (host: string): string => `https://${host}:${at(18443)}/v1/hello`;
  const curl = (...args: string[]) => {
    const resolve = ['api.example.test', 'other.test'].flatMap((host) => [
      '--resolve',
      `${host}:${at(18443)}:127.0.0.1`,
    ]);
    const common = [
      'curl',
      '-sS',
      '--noproxy',
      '*',
      '--max-time',
      '10',
      '--cacert',
      path.join(folder, 'certs', 'ca.crt'),
    ];
    return start(t, [...common, ...resolve, ...args] as [string, ...string[]]).ended;
  };
  const found = await curl('-i', url('api.example.test'));
  t.equal(found.status, 0, found.stderr);
  t.match(found.stdout, /^HTTP\/2 200 /, 'HTTP/2 is what is offered first');
  t.match(found.stdout, /^x-served-by: tulle\r$/im);
  t.match(found.stdout, /\r\n\r\nv1$/);
  const older = await curl('-i', '--http1.1', url('api.example.test'));
  t.match(older.stdout, /^HTTP\/1\.1 200 /);
  t.match(v1.seen.at(-1)?.headers, { 'x-forwarded-proto': 'https', host: `api.example.test:${at(18443)}` });
  const versions = [];
  for (const version of ['--tlsv1.3', '--tls-max 1.2', '--tls-max 1.1']) {
    versions.push((await curl(...version.split(' '), url('api.example.test'))).status);
  }
  t.match(versions, [0, 0, Number]);
  t.not(versions[2], 0, 'TLS 1.1 is refused');
  const other = await curl(url('other.test'));
  t.equal(other.status, 60, 'a name that the certificate does not have is the client’s to refuse');
  const plain = await Wire.connect(t, { port: at(18443), host: '127.0.0.1' });
  await plain.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await plain.closed();
  t.notMatch(plain.text, 'HTTP', 'plain HTTP at the TLS listener is not answered as such');
}

async function edgePages(t: Test): Promise<void> {
  const page = (port: number, target: string, { host = 'localhost', method = 'GET' } = {}) =>
    request(`http://127.0.0.1:${at(port)}${target}`, {
      method,
      headers: { host, origin: 'http://evil.test' },
    });
  for (const port of [18900, 18910]) {
    t.match(await page(port, '/healthz'), { status: 200, body: 'ok\n' });
    t.match(await page(port, '/readyz'), { status: 200, body: 'ready\n' });
    const metrics = await page(port, '/metrics');
    t.match(metrics.headers['content-type'], /^text\/plain; version=0\.0\.4/);
    const lines = metrics.body.trimEnd().split('\n');
    const odd = lines.filter(
      (line) =>
        !/^(# (HELP|TYPE) tulle_\w+ .+|tulle_\w+(\{.*\})? [-+\d.eINFan]+)$/.test(line) &&
        !/^(# \w+ )?process_/.test(line),
    );
    t.same(odd, [], 'every line is Prometheus text');
    t.match(metrics.body, /^tulle_requests_total\{[^}]*route="canary-by-header"[^}]*\} [1-9]/m);
    t.match(metrics.body, /^tulle_request_duration_seconds_bucket\{/m);
    t.match(metrics.body, /^tulle_requests_total\{[^}]*listener="secure"[^}]*\} [1-9]/m);
    t.match(await page(port, '/healthz', { method: 'POST' }), { status: 405 });
    t.match(await page(port, '/nothing'), { status: 404 });
    t.equal((await page(port, '/healthz')).headers['access-control-allow-origin'], undefined);
  }
  const config = await page(18900, '/config');
  t.equal(config.status, 200);
  t.match(JSON.parse(config.body), Object);
  t.match(config.body, 'canary-by-header');
  t.notMatch(config.body, /PRIVATE KEY/);
  t.equal((await page(18910, '/config')).status, 404, 'no configuration for probes');
  for (const host of [
    'evil.test',
    'localhost.evil.test',
    '127.0.0.1.evil.test',
    '10.0.0.1',
    '0.0.0.0',
    '127.1',
    '[::2]',
  ]) {
    t.match(await page(18900, '/config', { host }), { status: 403 }, `admin: Host ${host}`);
    t.match(await page(18910, '/healthz', { host }), { status: 200 }, `probes: Host ${host}`);
  }
  for (const host of ['localhost', 'LOCALHOST:18900', '127.0.0.1:1', '127.9.9.9', '[::1]:18900']) {
    t.match(await page(18900, '/config', { host }), { status: 200 }, `admin: Host ${host}`);
  }
}

function logLines(proxy: Running): Record<string, unknown>[] {
  return proxy
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{"ts"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

for (const workers of [1, 4]) {
  t.test(`edge.yaml with ${workers} workers`, async (t) => {
    await choosePorts();
    const both = await upstreams(t);
    const proxy = await run(t, 'edge', { workers });
    await edgeRoutes(t, both);
    await t.test('TLS', (t) => edgeTls(t, both.v1));
    await t.test('admin and probes', edgePages);
    await t.test('errors are logged, and nothing else', async (t) => {
      const wire = await Wire.connect(t, { port: at(18080), host: '127.0.0.1' });
      await wire.send('GET /marked HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
      t.equal((await wire.final())?.status, 400);
      await proxy.says(/"duplicate_host"/);
      const lines = logLines(proxy);
      t.same(
        lines.filter(({ status }) => typeof status === 'number' && status < 400),
        [],
      );
      const line = lines.find(({ detail }) => detail === 'duplicate_host');
      t.match(line, {
        listener: 'web',
        status: 400,
        reason: 'bad_request',
        flag: 'BR',
        peer: /^127\.0\.0\.1:\d+$/,
      });
      t.match(line?.ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/);
    });
  });

  t.test(`edge.yaml without its last route, ${workers} workers`, async (t) => {
    await choosePorts();
    const { v1 } = await upstreams(t);
    const change = (text: string): string => text.slice(0, text.indexOf('  - name: everything-else'));
    const proxy = await run(t, 'edge', { workers, change });
    const answer = await ask('/marked?secret=1', { host: 'else.test' });
    t.match(answer, { status: 404, headers: { 'x-tulle-reason': 'no_route' } });
    t.equal(v1.seen.length, 0);
    await proxy.says(/"reason":"no_route"/);
    t.match(logLines(proxy), [
      { status: 404, reason: 'no_route', method: 'GET', path: '/marked', route: null },
    ]);
  });

  t.test(`the hop with ${workers} workers`, (t) => hop(t, workers));
}

/** What the application must never get from a client. */
const SPOOFED = [
  ...[
    'x-forwarded-client-cert',
    'X-FORWARDED-CLIENT-CERT',
    'X_Forwarded_Client_Cert',
    'x-forwarded-client_cert',
  ],
  ...[
    'X.Forwarded.Client.Cert',
    'x-client-cert',
    'X-SSL-Client-Cert',
    'ssl_client_s_dn',
    'client-cert',
    'x-spiffe-id',
  ],
  ...['l5d-client-id', 'x-envoy-peer-metadata'],
];

async function hop(t: Test, workers: number): Promise<void> {
  await choosePorts();
  const app = await startUpstream(t, { port: at(19001), name: 'app' });
  await run(t, 'hop-server', { workers });
  const client = await run(t, 'hop-client', { workers });
  const through = (target: string, asked: Asked = {}) =>
    request(`http://127.0.0.1:${at(18083)}${target}`, asked);
  const inbound = (options: tls.ConnectionOptions): Promise<Wire> =>
    Wire.connect(t, { port: at(18445), host: '127.0.0.1', ca: pem('ca.crt'), ...options });

  await t.test('GET passes, with the identity of the caller', async (t) => {
    for (let round = 0; round < 5; round += 1) t.match(await through('/a?b'), { status: 200, body: 'app' });
    const got = app.seen.at(-1);
    t.equal(got?.url, '/a?b');
    const hash = createHash('sha256')
      .update(new X509Certificate(pem('client.crt')).raw)
      .digest('hex');
    t.match(got?.headersDistinct['x-forwarded-client-cert'], [
      new RegExp(`^Hash=${hash};.*URI=spiffe://example\\.test/ns/shop/sa/web$`),
    ]);
    t.equal((await through('/', { method: 'HEAD' })).status, 200);
  });

  await t.test('POST is denied, with a reason', async (t) => {
    app.seen.length = 0;
    t.match(await through('/', { method: 'POST' }), { status: 403, headers: { 'x-tulle-reason': 'denied' } });
    t.equal(app.seen.length, 0);
  });

  await t.test('identity headers of a client never pass', async (t) => {
    const lines = SPOOFED.map((name) => `${name}: URI=spiffe://example.test/ns/shop/sa/admin\r\n`).join('');
    const head = `GET /spoofed HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-client-cert\r\n${lines}\r\n`;
    const direct = await inbound({ cert: pem('client.crt'), key: pem('client.key') });
    const first = await Wire.connect(t, { port: at(18083), host: '127.0.0.1' });
    for (const wire of [first, direct]) {
      await wire.send(head);
      t.equal((await wire.final())?.status, 200);
      const raw = app.seen.at(-1)?.rawHeaders ?? [];
      t.notMatch(raw.join('\n'), 'sa/admin');
      const names = raw.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
      t.equal(names.filter((name) => name === 'x-forwarded-client-cert').length, 1);
    }
  });

  await t.test('who is not the right one is refused', async (t) => {
    const strange = await certificates(t);
    const other = (name: string): Buffer => readFileSync(path.join(strange, name));
    const pairs: [string, tls.ConnectionOptions][] = [
      ['no certificate', {}],
      ['a certificate without a SPIFFE ID', { cert: pem('edge.crt'), key: pem('edge.key') }],
      ['the same identity of another CA', { cert: other('client.crt'), key: other('client.key') }],
    ];
    app.seen.length = 0;
    for (const [name, options] of pairs) {
      const wire = await inbound(options).catch(() => undefined);
      await wire?.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await wire?.closed();
      t.equal(wire?.text ?? '', '', name);
    }
    const known = await inbound({ cert: pem('server.crt'), key: pem('server.key') });
    await known.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    t.equal((await known.final())?.status, 403, 'an identity that the policy does not name');
    const old = await inbound({
      cert: pem('client.crt'),
      key: pem('client.key'),
      maxVersion: 'TLSv1.2',
    }).catch(() => 'refused');
    t.equal(old, 'refused', 'TLS 1.2');
    t.equal(app.seen.length, 0);
  });

  await t.test('a server that is not the expected one is not told anything', async (t) => {
    client.child.kill('SIGKILL');
    await client.ended;
    const change = (text: string): string => text.replace('sa/reviews"]', 'sa/ratings"]');
    const mistaken = await run(t, 'hop-client', { workers, change });
    app.seen.length = 0;
    t.match(await through('/'), { status: 502, headers: { 'x-tulle-reason': 'upstream_tls' } });
    t.equal(app.seen.length, 0);
    mistaken.child.kill('SIGKILL');
    await mistaken.ended;
  });
}

t.test('a policy in shadow mode only tells', async (t) => {
  await choosePorts();
  const app = await startUpstream(t, { port: at(19001), name: 'app' });
  const change = (text: string): string =>
    `${text.replace('mode: enforce', 'mode: shadow')}\naccessLog: { requests: all }\n`;
  const server = await run(t, 'hop-server', { workers: 1, change });
  await run(t, 'hop-client', { workers: 1 });
  const url = `http://127.0.0.1:${at(18083)}/`;
  t.match(await request(url, { method: 'POST', body: 'x' }), { status: 200, body: 'app' });
  t.match(await request(url), { status: 200, body: 'app' });
  t.equal(app.seen.length, 2);
  await server.says(/"method":"GET"/);
  const lines = logLines(server);
  t.match(lines, [
    {
      method: 'POST',
      status: 200,
      shadow_policy: 'web-may-read',
      peer_id: 'spiffe://example.test/ns/shop/sa/web',
    },
    { method: 'GET', status: 200 },
  ]);
  t.notMatch(JSON.stringify(lines[1]?.flags), /shadow/, 'what would have passed is not marked');
});
