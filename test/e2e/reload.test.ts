// Changes of configuration and of certificates while requests come: not one fails.

import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import t, { type Test } from 'tap';
import type { ProxyConfig } from '../../src/index.js';
import { request, startUpstream } from '../http.js';
import { freePort, freePorts } from '../ports.js';
import { type Running, type Scope, start, startTulle, temporaryFolder } from '../process.js';
import { Load } from './load.js';
import { certificates, simple, startProxy } from './rig.js';
import { OK, Recorder, Wire } from './wire.js';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

/** Two upstreams and a file that names one of them. */
async function rig(t: Test, ...args: string[]) {
  const [port = 0, a = 0, b = 0] = await freePorts(3);
  await startUpstream(t, { port: a, name: 'a' });
  await startUpstream(t, { port: b, name: 'b' });
  const file = path.join(temporaryFolder(t), 'edge.yaml');
  const text = (upstream: number, more = ''): string => `workers: 2
listeners: { web: { address: "127.0.0.1:${port}" } }
services: { api: { endpoints: ["127.0.0.1:${upstream}"] } }
routes: [{ name: all, rules: [{ ${more} backends: [{ service: api }] }] }]
`;
  const write = (content: string): void => {
    writeFileSync(`${file}.new`, content);
    renameSync(`${file}.new`, file);
  };
  write(text(a));
  const proxy = startTulle(t, ['proxy', '--config', file, ...args]);
  await proxy.says(/^ready/m);
  return { proxy, port, a, b, text, write };
}

/** Waits until the proxy has said this so many times. */
function times(proxy: Running, word: string, count: number): Promise<unknown> {
  return proxy.says(new RegExp(`(?:${word}[\\s\\S]*){${count}}`));
}

for (const how of ['SIGHUP', '--watch'] as const) {
  t.test(`${how} under load`, async (t) => {
    const { proxy, port, a, b, text, write } = await rig(t, ...(how === '--watch' ? ['--watch'] : []));
    const load = await Load.start(t, { to: { port, host: '127.0.0.1' } });
    const reload = (content: string): void => {
      write(content);
      if (how === 'SIGHUP') proxy.child.kill('SIGHUP');
    };
    for (let round = 1; round <= 6; round += 1) {
      const more = round % 3 === 0 ? `timeouts: { request: ${round}s },` : '';
      reload(text(round % 2 === 1 ? b : a, more));
      await times(proxy, '"config_applied"', round);
      await load.more(100);
    }
    reload(text(b).replace('service: api', 'service: nobody'));
    await proxy.says(/edge\.yaml:4:\d+ {2}UNKNOWN_SERVICE {2}/);
    await load.more(50);
    reload('{ not: [yaml');
    await proxy.says(/BAD_YAML/);
    await load.more(50);
    reload(text(b));
    await times(proxy, '"config_applied"', 7);
    await load.more(50);
    const { failures, bodies, answered } = await load.stop();
    t.same(failures, []);
    t.same(bodies, ['a', 'b']);
    t.ok(answered > 700, `${answered} answers`);
    t.equal((await request(`http://127.0.0.1:${port}`)).body, 'b', 'the last good one serves');
  });
}

t.test('apply under load: routes, services and listeners come and go', async (t) => {
  const [port = 0, other = 0, a = 0, b = 0] = await freePorts(4);
  await startUpstream(t, { port: a, name: 'a' });
  await startUpstream(t, { port: b, name: 'b' });
  const config = (upstream: number, more: ProxyConfig['listeners'] = {}): ProxyConfig => {
    const base = simple(port, [`127.0.0.1:${upstream}`]);
    return { ...base, workers: 2, listeners: { ...base.listeners, ...more } };
  };
  const extra = { extra: { address: `127.0.0.1:${other}` } };
  const proxy = await startProxy(t, config(a));
  const load = await Load.start(t, { to: { port, host: '127.0.0.1' } });
  for (let round = 0; round < 4; round += 1) {
    await proxy.apply(config(round % 2 === 0 ? b : a, extra));
    const guests = await Load.start(t, { to: { port: other, host: '127.0.0.1' }, untilRefused: true });
    await guests.more(100);
    await proxy.apply(config(round % 2 === 0 ? a : b));
    const { failures, answered } = await guests.end();
    t.same(failures, [], 'the removed listener answers what it had accepted');
    t.ok(answered >= 124, `${answered} answers`);
    await t.rejects(request(`http://127.0.0.1:${other}`), { code: 'ECONNREFUSED' });
  }
  const many = Array.from({ length: 2_000 }, (_, index) => ({
    matches: [{ path: { prefix: `/p${index}` } }],
    backends: [{ service: 'api' }],
  }));
  const all = { backends: [{ service: 'api' }] };
  await proxy.apply({ ...config(b), routes: [{ name: 'many', rules: [...many, all] }] });
  await load.more(100);
  await t.rejects(
    proxy.apply({ ...config(b), routes: [{ name: 'x', rules: [{ backends: [{ service: 'no' }] }] }] }),
  );
  await load.more(100);
  const { failures, bodies } = await load.stop();
  t.same(failures, []);
  t.same(bodies, ['a', 'b']);
});

t.test('a request under way ends by what it began with', async (t) => {
  const [port = 0, slow = 0, b = 0] = await freePorts(3);
  const wrong = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong';
  const answer = (): string | undefined => (recorder.requests.length > 1 ? wrong : undefined);
  const recorder = await Recorder.start(t, { listen: slow, answer });
  await startUpstream(t, { port: b, name: 'b' });
  const proxy = await startProxy(t, simple(port, [`127.0.0.1:${slow}`]));
  const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
  await wire.send(GET);
  await recorder.until(() => recorder.requests[0]);
  await proxy.apply(simple(port, [`127.0.0.1:${b}`]));
  for (const socket of recorder.sockets) socket.write(OK);
  t.match(await wire.final(), { status: 200, body: 'ok' });
  for (let round = 0; round < 3; round += 1) {
    await wire.send(GET);
    t.match(await wire.final(), { status: 200, body: 'b' }, 'the next one by the new');
  }
  t.equal(recorder.requests.length, 1, 'the old endpoint gets nothing more');
  await recorder.until(() => (recorder.sockets.size === 0 ? true : undefined));
});

t.test('a request on a listener that is gone goes where it went before', async (t) => {
  const [first = 0, second = 0, a = 0, b = 0] = await freePorts(4);
  await startUpstream(t, { port: a, name: 'a' });
  await startUpstream(t, { port: b, name: 'b' });
  const on = (port: number): { address: string } => ({ address: `127.0.0.1:${port}` });
  const to = (service: string) => ({ name: `to-${service}`, rules: [{ backends: [{ service }] }] });
  const service = (port: number) => ({ endpoints: [`127.0.0.1:${port}`] });
  const proxy = await startProxy(t, {
    workers: 1,
    listeners: { kept: on(first), gone: on(second) },
    services: { a: service(a) },
    routes: [to('a')],
  });
  const wire = await Wire.connect(t, { port: second, host: '127.0.0.1' });
  await wire.send(GET);
  t.match(await wire.final(), { body: 'a' });
  await proxy.apply({
    workers: 1,
    listeners: { kept: on(first) },
    services: { b: service(b), a: service(a) },
    routes: [{ ...to('b'), hostnames: ['b'] }, to('a')],
  });
  await wire.send(GET);
  t.match(await wire.final(), { body: 'a' }, 'its routes are those of its listener');
  await wire.closed();
});

t.test('listeners move, change names and change what they ask for', async (t) => {
  const [first = 0, second = 0, upstream = 0] = await freePorts(3);
  const certs = await certificates(t);
  const file = (name: string): string => path.join(certs, name);
  await startUpstream(t, { port: upstream, name: 'a' });
  const base = simple(first, [`127.0.0.1:${upstream}`]);
  const on = (port: number): { address: string } => ({ address: `127.0.0.1:${port}` });
  const proxy = await startProxy(t, base);
  const connect = (port: number): Promise<Wire> => Wire.connect(t, { port, host: '127.0.0.1' });
  const serves = async (wire: Wire): Promise<number | undefined> => {
    await wire.send(GET);
    return (await wire.final())?.status;
  };
  const refuses = (port: number): Promise<unknown> =>
    t.rejects(connect(port), { code: 'ECONNREFUSED' }, `${port} is closed`);

  await proxy.apply({ ...base, listeners: { web: on(second) } });
  t.equal(await serves(await connect(second)), 200, 'the same name elsewhere');
  await refuses(first);
  await proxy.apply({ ...base, listeners: { front: on(second) } });
  t.equal(await serves(await connect(second)), 200, 'another name at the same place');
  await proxy.apply({ ...base, listeners: { front: on(first), back: on(second) } });
  for (const port of [first, second]) t.equal(await serves(await connect(port)), 200);
  await proxy.apply({ ...base, listeners: { front: on(second), back: on(first) } });
  for (const port of [first, second])
    t.equal(await serves(await connect(port)), 200, 'two that change places');
  await proxy.apply({ ...base, listeners: { front: on(first) } });
  await refuses(second);

  const plain = await connect(first);
  t.equal(await serves(plain), 200);
  const identity = { cert: file('server.crt'), key: file('server.key') };
  const mutual = { mode: 'mutual', identity, trustBundle: file('ca.crt') } as const;
  await proxy.apply({ ...base, listeners: { front: { ...on(first), tls: mutual } } });
  t.not(await serves(plain), 200, 'who showed no certificate is not served where one is needed');
  const known = await Wire.connect(t, {
    ...{ port: first, host: '127.0.0.1', ca: readFileSync(file('ca.crt')) },
    ...{ cert: readFileSync(file('client.crt')), key: readFileSync(file('client.key')) },
  });
  t.equal(await serves(known), 200);
  const from = ['spiffe://example.test/ns/shop/sa/other'];
  const rules = [{ from }];
  const policy = { name: 'others', listeners: ['front'], action: 'allow' as const, rules };
  await proxy.apply({
    ...base,
    listeners: { front: { ...on(first), tls: mutual } },
    authorization: [policy],
  });
  t.equal(await serves(known), 403, 'a changed policy is felt by the next request');
});

t.test('a connection made for one service never serves another', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  const recorder = await Recorder.start(t, { listen: upstream, answer: () => undefined });
  const endpoint = `127.0.0.1:${upstream}`;
  const certs = await certificates(t);
  const proxy = await startProxy(t, simple(port, [endpoint]));
  const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
  await wire.send(GET);
  await recorder.until(() => recorder.requests[0]);
  const identity = { cert: path.join(certs, 'client.crt'), key: path.join(certs, 'client.key') };
  const expect = ['spiffe://example.test/ns/shop/sa/reviews'];
  const mutual = { mode: 'mutual', identity, trustBundle: path.join(certs, 'ca.crt'), expect } as const;
  await proxy.apply({
    ...simple(port, []),
    services: { api: { endpoints: [endpoint], tls: mutual, connectTimeout: '200ms' } },
  });
  for (const socket of recorder.sockets) socket.write(OK);
  t.equal((await wire.final())?.status, 200);
  await wire.send(GET);
  const answer = await wire.final();
  t.match(
    `${answer?.status} ${answer?.all('x-tulle-reason').join()}`,
    /^50[24] (upstream_tls|connect_timeout)$/,
  );
  t.equal(recorder.requests.filter(({ line }) => line === 'GET / HTTP/1.1').length, 1);
});

/** One handshake and one request; the fingerprint of the certificate that was shown. */
async function handshake(port: number): Promise<string> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    servername: 'api.example.test',
  });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerCertificate();
  const answer = once(socket.setEncoding('latin1'), 'data');
  socket.write(GET);
  const [text] = (await answer) as [string];
  socket.destroy();
  if (!text.startsWith('HTTP/1.1 200 ')) throw new Error(text);
  return fingerprint256;
}

t.test('certificate files are replaced under handshakes', async (t) => {
  const [certs, next, port, upstream] = [
    await certificates(t),
    await certificates(t),
    await freePort(),
    await freePort(),
  ];
  await startUpstream(t, { port: upstream, name: 'a' });
  const file = (name: string): string => path.join(certs, name);
  await startProxy(t, {
    ...simple(port, [`127.0.0.1:${upstream}`]),
    listeners: {
      web: {
        address: `127.0.0.1:${port}`,
        tls: { certificates: [{ cert: file('edge.crt'), key: file('edge.key') }] },
      },
    },
  });
  const shown: string[] = [];
  const failures: string[] = [];
  let over = false;
  const client = async (): Promise<void> => {
    while (!over) {
      await handshake(port).then(
        (fingerprint) => void shown.push(fingerprint),
        (cause: unknown) => void failures.push(String(cause)),
      );
    }
  };
  const clients = Promise.all(Array.from({ length: 4 }, client));
  while (shown.length < 40) await handshake(port);
  const old = shown[0];
  const began = Date.now();
  for (const name of ['edge.crt', 'edge.key']) {
    copyFileSync(path.join(next, name), `${file(name)}.new`);
    renameSync(`${file(name)}.new`, file(name));
    await handshake(port);
  }
  while ((await handshake(port)) === old) if (Date.now() - began > 10_000) break;
  const mark = shown.length;
  while (shown.length < mark + 20 && Date.now() - began < 12_000) await handshake(port);
  over = true;
  await clients;
  t.same(failures, []);
  const { fingerprint256 } = new X509Certificate(readFileSync(file('edge.crt')));
  t.same([...new Set(shown)], [old, fingerprint256], 'the old one, then the new one');
  t.equal(shown.at(-1), fingerprint256);
});

/** A revocation list of the CA in this folder that names one certificate. */
async function revoke(scope: Scope, certs: string, name: string): Promise<string> {
  const folder = temporaryFolder(scope);
  const openssl = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await start(scope, ['openssl', ...args], { cwd: folder }).ended;
    if (status !== 0) throw new Error(stderr);
    return stdout;
  };
  const serial = (await openssl('x509', '-in', path.join(certs, name), '-noout', '-serial'))
    .trim()
    .split('=')[1];
  writeFileSync(
    path.join(folder, 'index.txt'),
    `R\t400101000000Z\t250101000000Z\t${serial}\tunknown\t/CN=revoked\n`,
  );
  writeFileSync(path.join(folder, 'number'), '1000\n');
  writeFileSync(
    path.join(folder, 'ca.cnf'),
    `[ca]
default_ca = own
[own]
database = ${folder}/index.txt
crlnumber = ${folder}/number
default_md = sha256
default_crl_days = 30
crl_extensions = extensions
[extensions]
authorityKeyIdentifier = keyid:always
`,
  );
  const ca = ['-cert', path.join(certs, 'ca.crt'), '-keyfile', path.join(certs, 'ca.key')];
  const made = path.join(folder, 'crl.pem');
  await openssl('ca', '-config', 'ca.cnf', '-gencrl', ...ca, '-out', made);
  return made;
}

t.test('a revoked peer loses its connections and gets no more', async (t) => {
  const [certs, port, upstream] = [await certificates(t), await freePort(), await freePort()];
  await startUpstream(t, { port: upstream, name: 'a' });
  const file = (name: string): string => path.join(certs, name);
  await startProxy(t, {
    ...simple(port, [`127.0.0.1:${upstream}`]),
    listeners: {
      web: {
        address: `127.0.0.1:${port}`,
        tls: {
          mode: 'mutual',
          identity: { cert: file('server.crt'), key: file('server.key') },
          trustBundle: file('ca.crt'),
          crl: file('crl.pem'),
        },
      },
    },
  });
  const connect = (name: string, session?: Buffer): Promise<Wire> =>
    Wire.connect(t, {
      port,
      host: '127.0.0.1',
      ...(session === undefined ? {} : { session }),
      ca: readFileSync(file('ca.crt')),
      cert: readFileSync(file(`${name}.crt`)),
      key: readFileSync(file(`${name}.key`)),
    });
  const [revoked, good] = [await connect('client'), await connect('server')];
  // TLS 1.3 gives tickets behind the handshake.
  let session: Buffer | undefined;
  revoked.socket.on('session', (ticket: Buffer) => {
    session = ticket;
  });
  for (const wire of [revoked, good]) {
    await wire.send(GET);
    t.equal((await wire.final())?.status, 200);
  }
  const resumed = await connect('client', session);
  await resumed.send(GET);
  t.equal((await resumed.final())?.status, 200, 'a resumed session is one of a known peer');
  const began = Date.now();
  copyFileSync(await revoke(t, certs, 'client.crt'), file('crl.pem.new'));
  renameSync(file('crl.pem.new'), file('crl.pem'));
  await Promise.all([revoked.closed(), resumed.closed()]);
  t.ok(Date.now() - began < 10_000, 'within ten looks at the file');
  for (const ticket of [undefined, session]) {
    const again = await connect('client', ticket).catch(() => undefined);
    await again?.send(GET);
    await again?.closed();
    t.equal(again?.text ?? '', '', 'no new connection, resumed or not');
  }
  await good.send(GET);
  t.equal((await good.final())?.status, 200, 'others are not touched');
  const fresh = await connect('server');
  await fresh.send(GET);
  t.equal((await fresh.final())?.status, 200);
});
