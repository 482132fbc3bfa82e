// Connections that are forwarded as they are: TCP, TLS by its name, the PROXY protocol, and what is told apart.

import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import type tls from 'node:tls';
import t, { type Test } from 'tap';
import type { ProxyConfig, TulleProxy } from '../../src/index.js';
import { request, startUpstream } from '../http.js';
import { freePort, freePorts } from '../ports.js';
import { root, startTulle, temporaryFolder } from '../process.js';
import { clientHello, echo, ended, eventually, fragmented, Log, proxyV2, Server } from './raw.js';
import { certificates, startProxy, untilDeserted } from './rig.js';
import { Wire } from './wire.js';

type Listener = ProxyConfig['listeners'][string];
type Service = NonNullable<ProxyConfig['services']>[string];

const HOST = '127.0.0.1';
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const certs = await certificates(t);

function pem(name: string): Buffer {
  return readFileSync(path.join(certs, name));
}

/** One listener, `tcp`, in front of one service, `db`, with an access log. */
async function rig(
  t: Test,
  {
    listener = {},
    service = {},
    services = {},
    more = {},
  }: {
    listener?: Partial<Listener>;
    service?: Partial<Service>;
    services?: Record<string, Service>;
    more?: Partial<ProxyConfig>;
  } = {},
) {
  const [port = 0, target = 0] = await freePorts(2);
  const file = path.join(temporaryFolder(t), 'access.json');
  const endpoints = [`${HOST}:${target}`];
  const config: ProxyConfig = {
    workers: 1,
    accessLog: { requests: 'all', file },
    listeners: {
      tcp: {
        address: `${HOST}:${port}`,
        protocol: 'tcp',
        backends: [{ service: 'db' }],
        ...listener,
      },
    },
    services: { db: { protocol: 'tcp', endpoints, ...service }, ...services },
    ...more,
  };
  const proxy = await startProxy(t, config);
  const connect = (): Promise<Wire> => Wire.connect(t, { port, host: HOST });
  return { proxy, config, port, target, log: new Log(file), connect };
}

/** Whether a connection was ended, whatever came on it. */
async function isClosed(wire: Wire): Promise<boolean> {
  await wire.closed();
  return wire.ended;
}

for (const workers of [1, 4]) {
  t.test(`examples/tcp.yaml as it is, ${workers} workers`, async (t) => {
    let text = readFileSync(path.join(root, 'examples/tcp.yaml'), 'utf8');
    const ports = new Map<number, number>();
    // Its ports are fixed; others stand in for them, so that suites can run beside each other.
    for (const port of [18082, 18086, 18444, 18902, 19010, 19011, 19012]) {
      ports.set(port, await freePort());
      text = text.replaceAll(`:${port}`, `:${ports.get(port)}`);
    }
    const at = (port: number): number => ports.get(port) ?? 0;
    const file = path.join(temporaryFolder(t), 'tcp.yaml');
    writeFileSync(file, `workers: ${workers}\n${text}`);
    await Server.start(t, { port: at(19010), serve: echo });
    const secure = { cert: pem('edge.crt'), key: pem('edge.key') };
    for (const [port, name] of [
      [19011, 'a'],
      [19012, 'b'],
    ] as const)
      await Server.start(t, { port: at(port), secure, serve: (wire) => void wire.send(name) });
    const proxy = startTulle(t, ['proxy', '--config', file]);
    await proxy.says(/^ready/m);

    const database = await Wire.connect(t, { port: at(18082), host: HOST });
    await database.send('hello');
    t.equal(await database.bytes(5), 'hello');
    const announced = await Wire.connect(t, { port: at(18082), host: HOST });
    await announced.send('PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\nhi');
    t.equal(await announced.bytes(2), 'hi', 'the header is not passed on');

    t.match(await request(`http://${HOST}:${at(18086)}/`), { status: 404 });
    const opaque = await Wire.connect(t, { port: at(18086), host: HOST });
    await opaque.send('*1\r\n$4\r\nPING\r\n');
    t.equal(await opaque.bytes(14), '*1\r\n$4\r\nPING\r\n');
    const hello = await clientHello(t, { servername: 'x.test' });
    const sealed = await Wire.connect(t, { port: at(18086), host: HOST });
    await sealed.send(hello.toString('latin1'));
    t.equal(await sealed.bytes(hello.length), hello.toString('latin1'), 'TLS that nothing takes is opaque');

    for (const [servername, name] of [
      ['a.example.test', 'a'],
      ['x.b.example.test', 'b'],
      ['y.x.b.example.test', 'b'],
    ] as const) {
      const wire = await Wire.connect(t, {
        port: at(18444),
        host: HOST,
        servername,
        rejectUnauthorized: false,
      });
      t.equal(await wire.bytes(1), name, servername);
    }
    for (const servername of ['b.example.test', 'c.example.test']) {
      const to = { port: at(18444), host: HOST, servername, rejectUnauthorized: false };
      await t.rejects(Wire.connect(t, to), servername);
    }
    const { body } = await request(`http://${HOST}:${at(18902)}/metrics`);
    t.match(
      body,
      /^tulle_forwarded_connections_total\{listener="passthrough",service="",reason="sni_unknown"\} 2$/m,
    );
    proxy.child.kill('SIGTERM');
  });
}

t.test('each side may end its half', async (t) => {
  const { target, connect, log, proxy } = await rig(t);
  const server = await Server.start(t, { port: target });
  const first = await connect();
  await first.send('question');
  first.finish();
  const asked = await server.next();
  t.equal(await asked.bytes(8), 'question');
  await asked.closed();
  t.notOk(first.ended, 'the answer is still to come');
  await asked.send('answer');
  asked.finish();
  t.equal(await first.bytes(6), 'answer');
  t.ok(await isClosed(first));

  const second = await connect();
  const greeting = await server.next();
  await greeting.send('goodbye');
  greeting.finish();
  t.equal(await second.bytes(7), 'goodbye');
  await second.closed();
  await second.send('one', 'two');
  second.finish();
  t.equal(await greeting.bytes(6), 'onetwo');
  await greeting.closed();
  t.match(await log.next(2), [
    { reason: 'ok', status: null, method: null, listener: 'tcp', service: 'db', body_in: 8, body_out: 6 },
    { reason: 'ok', flags: ['connection'], body_in: 6, body_out: 7, endpoint: `${HOST}:${target}` },
  ]);
  t.same(ended(proxy, 'tcp'), { ok: 2 });
});

t.test('what was sent before both ended arrives, however slowly it is taken', async (t) => {
  const { target, connect } = await rig(t);
  const server = await Server.start(t, { port: target });
  const client = await connect();
  const taken = await server.next();
  taken.socket.pause();
  taken.finish(); // the server has said its last, and reads on
  await client.closed();
  const size = 8 * 1024 * 1024;
  client.socket.end(Buffer.alloc(size, 'x'));
  await new Promise((resolve) => setTimeout(resolve, 300));
  taken.socket.resume();
  await eventually(() => (taken.text.length === size ? true : undefined), 'all of it');
  await taken.closed();
});

t.test('a client that takes nothing may go on sending', async (t) => {
  const { target, connect } = await rig(t);
  const server = await Server.start(t, { port: target });
  const client = await connect();
  client.socket.pause();
  const peer = await server.next();
  peer.socket.write(Buffer.alloc(32 << 20, 'x'));
  // Until nothing on the way takes more.
  let left = -1;
  while (left !== peer.socket.writableLength) {
    left = peer.socket.writableLength;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  t.ok(left > 0, `${left} bytes wait`);
  await client.send('still here');
  t.equal(await peer.bytes(10), 'still here');
});

t.test('resets are passed on, and told', async (t) => {
  const { target, connect, log, proxy } = await rig(t);
  const server = await Server.start(t, { port: target });
  for (const [side, reason] of [
    ['client', 'client_closed'],
    ['server', 'upstream_reset'],
  ] as const) {
    const client = await connect();
    await client.send('x');
    const peer = await server.next();
    await peer.bytes(1);
    const [from, to] = side === 'client' ? [client, peer] : [peer, client];
    from.socket.resetAndDestroy();
    await to.closed();
    t.equal(to.broken, true, `${side}: the other end is reset`);
    t.match(await log.one(), { reason, body_in: 1 });
  }
  t.same(ended(proxy, 'tcp'), { client_closed: 1, upstream_reset: 1 });
});

t.test('256 MB, with bounded memory', async (t) => {
  const [port = 0, target = 0] = await freePorts(2);
  const size = 256 * 1024 * 1024;
  let received = 0;
  await Server.start(t, {
    port: target,
    serve: ({ socket }) => {
      socket.removeAllListeners('data').setEncoding('latin1');
      socket.on('data', (part: string) => {
        received += part.length;
      });
      socket.on('end', () => socket.end('done'));
    },
  });
  const file = path.join(temporaryFolder(t), 'tcp.yaml');
  const listener = `{ address: "${HOST}:${port}", protocol: tcp, backends: [{ service: db }] }`;
  const service = `{ protocol: tcp, endpoints: ["${HOST}:${target}"] }`;
  writeFileSync(file, `workers: 1\nlisteners: { tcp: ${listener} }\nservices: { db: ${service} }\n`);
  const proxy = startTulle(t, ['proxy', '--config', file]);
  await proxy.says(/^ready/m);
  const resident = (): number =>
    Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${proxy.child.pid}/status`, 'utf8'))?.[1]);
  const before = resident();
  const client = await Wire.connect(t, { port, host: HOST });
  const chunk = Buffer.alloc(1 << 20, 'x');
  let most = 0;
  for (let sent = 0; sent < size; sent += chunk.length) {
    const more = client.socket.write(chunk);
    if (!more) await new Promise((resolve) => client.socket.once('drain', resolve));
    if (sent % (16 << 20) === 0) most = Math.max(most, resident());
  }
  client.finish();
  t.equal(await client.bytes(4), 'done');
  t.equal(received, size);
  most = Math.max(most, resident());
  t.ok(most - before < 8 * 1024, `${before} kB, then ${most} kB at most`);
});

t.test('silence ends a connection, bytes either way keep it', async (t) => {
  const { target, connect, log, proxy } = await rig(t, { listener: { timeouts: { streamIdle: '400ms' } } });
  const server = await Server.start(t, { port: target });
  const client = await connect();
  const peer = await server.next();
  const began = Date.now();
  for (let round = 0; round < 6; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 150));
    await (round % 2 === 0 ? client : peer).send('x');
  }
  t.notOk(client.ended);
  await client.closed();
  await peer.closed();
  const took = Date.now() - began;
  t.ok(took >= 1_200 && took < 3_000, `${took} ms`);
  t.match(await log.one(), { reason: 'stream_idle', body_in: 3, body_out: 3 });
  t.same(ended(proxy, 'tcp'), { stream_idle: 1 });
});

t.test('a connection that cannot be made goes to another endpoint, or is told to be none', async (t) => {
  const [dead = 0, alive = 0, none = 0] = await freePorts(3);
  await Server.start(t, { port: alive, serve: echo });
  const { connect, log, proxy, config } = await rig(t, {
    service: {
      endpoints: [`${HOST}:${dead}`, `${HOST}:${alive}`],
      loadBalancing: { policy: 'round-robin' },
    },
  });
  for (let round = 0; round < 4; round += 1) {
    const wire = await connect();
    await wire.send('x');
    t.equal(await wire.bytes(1), 'x');
    wire.finish();
    await wire.closed();
  }
  const lines = await log.next(4);
  t.ok(
    lines.some(({ flags }) => flags.includes('retried')),
    'the dead one was tried',
  );
  t.equal(lines.filter(({ reason }) => reason === 'ok').length, 4);
  const services: ProxyConfig['services'] = {
    db: { protocol: 'tcp', endpoints: [`${HOST}:${none}`] },
  };
  await proxy.apply({ ...config, services });
  t.ok(await isClosed(await connect()));
  t.match(await log.one(), { reason: 'connect_failure', attempts: [{}, {}, {}] });
  await proxy.apply({ ...config, services: { db: { protocol: 'tcp', endpoints: [] } } });
  t.ok(await isClosed(await connect()));
  t.match(await log.one(), { reason: 'no_endpoint' });
});

t.test('limits: of the listener, and of the service', async (t) => {
  const { target, connect, log, proxy } = await rig(t, {
    service: { limits: { connections: 2, pending: 1 } },
  });
  const server = await Server.start(t, { port: target });
  const served = [await connect(), await connect()];
  for (const wire of served) await wire.send('x');
  for (const _ of served) await server.next();
  const waiting = await connect();
  await waiting.send('waits');
  const full = await connect();
  t.ok(await isClosed(full));
  t.match(await log.one(), { reason: 'pending_full', service: 'db' });
  t.equal(server.count, 2);
  served[0]?.finish();
  server.wires[0]?.finish();
  const next = await server.next();
  t.equal(await next.bytes(5), 'waits', 'the one that waited');
  t.match(await log.one(), { reason: 'ok' });
  const late = await connect();
  t.ok(await isClosed(late), 'waits a second, no longer');
  t.match(await log.one(), { reason: 'queue_timeout' });

  t.match(ended(proxy, 'tcp'), { pending_full: 1, queue_timeout: 1, ok: 1 });

  const narrow = await rig(t, { listener: { limits: { connections: 2 } } });
  const behind = await Server.start(t, { port: narrow.target });
  const first = await narrow.connect();
  await narrow.connect();
  for (let count = 0; count < 2; count += 1) await behind.next();
  t.ok(await isClosed(await narrow.connect()));
  t.match(await narrow.log.one(), { reason: 'connection_limit', service: null, flags: ['connection'] });
  t.same(ended(narrow.proxy, 'tcp'), { connection_limit: 1 });
  first.socket.resetAndDestroy();
  await narrow.log.one();
  await narrow.connect();
  await behind.next();
});

t.test('PROXY headers: the source is who connects', async (t) => {
  const [port = 0, api = 0, v2Port = 0] = await freePorts(3);
  const upstream = await startUpstream(t, { port: api, name: 'api' });
  const proxyProtocol = { accept: [`${HOST}/32`, '::1'] };
  const { target, connect, log, config, proxy } = await rig(t, {
    listener: { proxyProtocol },
    service: { sendProxyProtocol: 'v1' },
  });
  await proxy.apply({
    ...config,
    listeners: {
      ...config.listeners,
      web: { address: `${HOST}:${port}`, proxyProtocol: { ...proxyProtocol, optional: true } },
      again: {
        address: `${HOST}:${v2Port}`,
        protocol: 'tcp',
        backends: [{ service: 'binary' }],
        proxyProtocol: { accept: ['10.0.0.0/8'], optional: true },
      },
    },
    services: {
      ...config.services,
      binary: { protocol: 'tcp', endpoints: [`${HOST}:${target}`], sendProxyProtocol: 'v2' },
      api: { endpoints: [`${HOST}:${api}`] },
    },
    routes: [
      {
        name: 'all',
        rules: [
          { backends: [{ service: 'api' }] },
          {
            matches: [{ path: { exact: '/limited' } }],
            filters: [{ rateLimit: { requestsPerSecond: 1, burst: 1, key: { source: true } } }],
            backends: [{ service: 'api' }],
          },
        ],
      },
    ],
  });
  const server = await Server.start(t, { port: target });
  const cases: [string, Buffer, string, string][] = [
    [
      'version 1',
      Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.2 1024 443\r\n'),
      'PROXY TCP4 192.0.2.1 198.51.100.2 1024 443\r\n',
      '192.0.2.1:1024',
    ],
    [
      'version 1, IPv6',
      Buffer.from('PROXY TCP6 2001:db8::1 2001:db8::2 1024 443\r\n'),
      'PROXY TCP6 2001:db8::1 2001:db8::2 1024 443\r\n',
      '[2001:db8::1]:1024',
    ],
    ['version 2', proxyV2('192.0.2.9', 7), 'PROXY TCP4 192.0.2.9 198.51.100.2 7 443\r\n', '192.0.2.9:7'],
    [
      'version 2 with an extension',
      proxyV2('192.0.2.9', 7, Buffer.from([4, 0, 2, 0, 0])),
      'PROXY TCP4 192.0.2.9 198.51.100.2 7 443\r\n',
      '192.0.2.9:7',
    ],
  ];
  for (const [name, header, sent, peer] of cases) {
    for (const split of [false, true]) {
      const wire = await connect();
      const text = `${header.toString('latin1')}payload`;
      await wire.send(...(split ? text : [text]));
      const got = await server.next();
      t.equal(await got.bytes(sent.length + 7), `${sent}payload`, `${name}${split ? ', byte by byte' : ''}`);
      got.finish();
      wire.finish();
      await wire.closed();
      t.match(await log.one(), { reason: 'ok', peer, body_in: 7 }, name);
    }
  }
  for (const local of ['PROXY UNKNOWN\r\n', '\r\n\r\n\0\r\nQUIT\n\x20\0\0\0']) {
    const wire = await connect();
    await wire.send(`${local}x`);
    const got = await server.next();
    const { localPort, remotePort } = wire.socket;
    const line = `PROXY TCP4 ${HOST} ${HOST} ${localPort} ${remotePort}\r\nx`;
    t.equal(await got.bytes(line.length), line, 'the connection itself is the source');
    wire.socket.resetAndDestroy();
    t.match(await log.one(), { peer: `${HOST}:${localPort}` });
  }

  const foreign = await Wire.connect(t, { port: v2Port, host: HOST });
  await foreign.send('PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n');
  const binary = await server.next();
  const head = Buffer.from(await binary.bytes(28), 'latin1');
  t.same([...head.subarray(12, 24)], [0x21, 0x11, 0, 12, 127, 0, 0, 1, 127, 0, 0, 1]);
  t.equal(head.readUInt16BE(24), foreign.socket.localPort);
  t.equal(head.readUInt16BE(26), v2Port);
  const rest = 'PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n';
  t.equal(await binary.bytes(rest.length), rest, 'from elsewhere the bytes are taken as they are');
  foreign.socket.resetAndDestroy();

  const web = await Wire.connect(t, { port, host: HOST });
  await web.send(`PROXY TCP4 192.0.2.77 198.51.100.2 1 2\r\n${GET}`);
  t.equal((await web.final())?.status, 200);
  t.equal(upstream.seen.at(-1)?.headers['x-forwarded-for'], '192.0.2.77');
  const limited = async (source: string): Promise<number | undefined> => {
    const wire = await Wire.connect(t, { port, host: HOST });
    const header = `PROXY ${source.includes(':') ? 'TCP6' : 'TCP4'} ${source}`;
    const to = source.includes(':') ? '2001:db8::99' : '198.51.100.2';
    await wire.send(`${header} ${to} 1 2\r\n${GET.replace('/', '/limited')}`);
    return (await wire.final())?.status;
  };
  const passing = async (sources: readonly string[]): Promise<number> =>
    (await Promise.all(sources.map(limited))).filter((status) => status === 200).length;
  const each = ['2001:db8:1:3::1', '2001:db8:1:4::1', '192.0.2.1', '192.0.2.2'];
  t.equal(await passing(each), each.length, 'a limit is for one source');
  const began = performance.now();
  const ofOne = await passing(Array.from({ length: 16 }, (_, index) => `2001:db8:1:2:${index}::1`));
  const more = Math.ceil((performance.now() - began) / 1000);
  t.ok(ofOne >= 1 && ofOne <= 1 + more, `which an IPv6 /64 is: ${ofOne} pass, ${more} by waiting at most`);
  const bare = await Wire.connect(t, { port, host: HOST });
  await bare.send(GET);
  t.equal((await bare.final())?.status, 200);
  t.equal(upstream.seen.at(-1)?.headers['x-forwarded-for'], HOST);
});

t.test('a PROXY header comes ahead of TLS, on both sides', async (t) => {
  const [port = 0, api = 0] = await freePorts(2);
  const upstream = await startUpstream(t, { port: api, name: 'api' });
  const secured = {
    tls: { certificates: [{ cert: path.join(certs, 'edge.crt'), key: path.join(certs, 'edge.key') }] },
    proxyProtocol: { accept: ['127.0.0.0/8'] },
  };
  const {
    proxy,
    config,
    port: tcp,
    target,
    log,
  } = await rig(t, {
    listener: secured,
    service: { sendProxyProtocol: 'v1', tls: { trustBundle: path.join(certs, 'ca.crt') } },
    services: { api: { endpoints: [`${HOST}:${api}`] } },
    more: { routes: [{ name: 'all', rules: [{ backends: [{ service: 'api' }] }] }] },
  });
  const listeners = { ...config.listeners, web: { address: `${HOST}:${port}`, ...secured } };
  await proxy.apply({ ...config, listeners });
  const server = await Server.start(t, { port: target });
  /** Says where it comes from, and then speaks TLS. */
  const connect = async (to: number): Promise<Wire> => {
    const socket = net.connect(to, HOST);
    socket.write('PROXY TCP4 192.0.2.7 198.51.100.2 7 443\r\n');
    return Wire.connect(t, { socket, ca: pem('ca.crt'), servername: 'api.example.test' });
  };
  const web = await connect(port);
  await web.send(GET);
  t.equal((await web.final())?.body, 'api');
  t.match(upstream.seen.at(-1)?.headers, { 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'https' });
  t.match(await log.one(), { peer: '192.0.2.7:7', flags: ['tls'] });

  const wire = await connect(tcp);
  await wire.send('hello');
  const raw = await server.next();
  const line = 'PROXY TCP4 192.0.2.7 198.51.100.2 7 443\r\n';
  t.equal(await raw.bytes(line.length), line);
  t.equal(await raw.bytes(2), '\x16\x03', 'then a handshake begins');
  raw.socket.destroy();
  await wire.closed();
  t.match(await log.one(), {
    peer: '192.0.2.7:7',
    sni: 'api.example.test',
    flags: ['tls', 'retried', 'connection'],
  });
});

t.test('PROXY headers that are none close the connection, with a reason', async (t) => {
  const { connect, log, proxy } = await rig(t, {
    listener: { proxyProtocol: { accept: ['127.0.0.0/8'] }, limits: { headerTimeout: '700ms' } },
  });
  const signature = '\r\n\r\n\0\r\nQUIT\n';
  const v4 = '\xc0\0\x02\x01\xc6\x33\x64\x02\x04\0\x01\xbb';
  const binary = (body: string, start = '\x21\x11'): string =>
    `${signature}${start}${String.fromCharCode(body.length >> 8, body.length & 255)}${body}`;
  const line = (text: string): string => `PROXY ${text}\r\n`;
  const malformed: [string, string][] = [
    [line('TCP5 1.2.3.4 1.2.3.4 1 2'), 'v1_family'],
    [line('tcp4 1.2.3.4 1.2.3.4 1 2'), 'v1_family'],
    [line('UDP4 1.2.3.4 1.2.3.4 1 2'), 'v1_family'],
    [line(''), 'v1_family'],
    [line('TCP4'), 'v1_fields'],
    [line('TCP4 1.2.3.4 1.2.3.4 1'), 'v1_fields'],
    [line('TCP4 1.2.3.4 1.2.3.4 1 2 3'), 'v1_fields'],
    [line('TCP4  1.2.3.4 1.2.3.4 1 2'), 'v1_fields'],
    [line('TCP4 1.2.3.256 1.2.3.4 1 2'), 'v1_address'],
    [line('TCP4 01.2.3.4 1.2.3.4 1 2'), 'v1_address'],
    [line('TCP4 ::1 ::1 1 2'), 'v1_address'],
    [line('TCP6 1.2.3.4 1.2.3.4 1 2'), 'v1_address'],
    [line('TCP4 localhost 1.2.3.4 1 2'), 'v1_address'],
    [line('TCP4 1.2.3.4\0 1.2.3.4 1 2'), 'v1_address'],
    [line('TCP4 1.2.3.4 1.2.3.4 01 2'), 'v1_port'],
    [line('TCP4 1.2.3.4 1.2.3.4 65536 2'), 'v1_port'],
    [line('TCP4 1.2.3.4 1.2.3.4 -1 2'), 'v1_port'],
    [line('TCP4 1.2.3.4 1.2.3.4 1 \xff'), 'v1_text'],
    ['PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n', 'v1_line_end'],
    ['PROXY TCP4 1.2.3.4\r 1.2.3.4 1 2\r\n', 'v1_line_end'],
    [line(`UNKNOWN ${'x'.repeat(200)}`), 'v1_too_long'],
    [`PROXY ${'x'.repeat(200)}`, 'v1_too_long'],
    [binary(v4, '\x11\x11'), 'v2_version'],
    [binary(v4, '\x31\x11'), 'v2_version'],
    [binary(v4, '\x22\x11'), 'v2_command'],
    [binary(v4, '\x21\x12'), 'v2_family'],
    [binary(v4, '\x21\x41'), 'v2_family'],
    [binary(v4.slice(1)), 'v2_addresses'],
    [binary(''), 'v2_addresses'],
    [binary(v4, '\x21\x21'), 'v2_addresses'],
    [binary(`${v4}\x04`), 'v2_extension'],
    [binary(`${v4}\x04\0\x09x`), 'v2_extension'],
    [binary(`${v4}\x03\0\x04abcd`), 'v2_checksum'],
    [binary(`${v4}\x03\0\x01a`), 'v2_checksum'],
    [`${signature}\x21\x11\xff\xff`, 'v2_too_long'],
  ];
  for (const [bytes, detail] of malformed) {
    const wire = await connect();
    await wire.send(bytes);
    t.ok(await isClosed(wire));
    t.match(
      await log.one(),
      { reason: 'proxy_protocol_malformed', detail, service: null },
      JSON.stringify(bytes),
    );
  }
  for (const cut of ['PROXY TCP4 1.2', `${signature}\x21`]) {
    const wire = await connect();
    await wire.send(cut);
    wire.finish();
    t.ok(await isClosed(wire));
    t.match(await log.one(), { reason: 'proxy_protocol_malformed', detail: 'cut_short' });
  }
  for (const absent of ['hello', 'GET / HTTP/1.1\r\n\r\n', '\r\n\r\nGET', '\x16\x03\x01']) {
    const wire = await connect();
    await wire.send(absent);
    t.ok(await isClosed(wire));
    t.match(await log.one(), { reason: 'proxy_protocol_missing', detail: null });
  }
  const slow = await connect();
  await slow.send('PROXY TCP4 ');
  t.ok(await isClosed(slow));
  t.match(await log.one(), { reason: 'detection_timeout' });
  t.same(ended(proxy, 'tcp'), {
    proxy_protocol_malformed: malformed.length + 2,
    proxy_protocol_missing: 4,
    detection_timeout: 1,
  });
});

t.test('without a PROXY header: closed where it has to be there, taken where it has not', async (t) => {
  const strict = await rig(t, { listener: { proxyProtocol: { accept: ['10.0.0.0/8'] } } });
  const wire = await strict.connect();
  await wire.send('PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n');
  t.ok(await isClosed(wire));
  t.match(await strict.log.one(), { reason: 'proxy_protocol_refused' });

  const lenient = await rig(t, { listener: { proxyProtocol: { accept: ['127.0.0.0/8'], optional: true } } });
  const server = await Server.start(t, { port: lenient.target });
  const eager = await lenient.connect();
  await eager.send('hello');
  t.equal(await (await server.next()).bytes(5), 'hello');
  const silent = await lenient.connect();
  const greeting = await server.next();
  await greeting.send('welcome');
  t.equal(await silent.bytes(7), 'welcome', 'a server that speaks first is dialled');
  await silent.send('thanks');
  t.equal(await greeting.bytes(6), 'thanks');
  const late = await lenient.connect();
  const dialled = await server.next();
  await late.send('PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\nhello');
  t.equal(await dialled.bytes(5), 'hello', 'a header may come as long as nobody has spoken');
  late.socket.resetAndDestroy();
  t.match(await lenient.log.one(), { peer: '192.0.2.1:1', body_in: 5 });
});

t.test('TLS goes unopened where its name says', async (t) => {
  const [port = 0, a = 0, b = 0] = await freePorts(3);
  const { proxy, config, log } = await rig(t, { listener: { limits: { headerTimeout: '700ms' } } });
  const backend = (service: string) => ({ backends: [{ service }] });
  await proxy.apply({
    ...config,
    listeners: {
      names: {
        address: `${HOST}:${port}`,
        protocol: 'tls-passthrough',
        routes: [
          { hostnames: ['a.test', '*.deep.b.test'], ...backend('a') },
          { hostnames: ['*.b.test'], ...backend('b') },
        ],
        limits: { headerTimeout: '700ms' },
      },
    },
    services: {
      a: { protocol: 'tcp', endpoints: [`${HOST}:${a}`] },
      b: { protocol: 'tcp', endpoints: [`${HOST}:${b}`] },
    },
  });
  const servers = { a: await Server.start(t, { port: a }), b: await Server.start(t, { port: b }) };
  const connect = (): Promise<Wire> => Wire.connect(t, { port, host: HOST });
  const table: [string, 'a' | 'b' | undefined][] = [
    ['a.test', 'a'],
    ['A.TEST', 'a'],
    ['x.b.test', 'b'],
    ['y.x.b.test', 'b'],
    ['x.deep.b.test', 'a'],
    ['deep.b.test', 'b'],
    ['b.test', undefined],
    ['x.a.test', undefined],
    ['a.test.evil.test', undefined],
  ];
  for (const [servername, name] of table) {
    const hello = await clientHello(t, { servername, ALPNProtocols: ['h2'] });
    for (const size of name === undefined ? [20_000] : [20_000, 100, 7]) {
      const bytes = fragmented(hello, size).toString('latin1');
      const wire = await connect();
      await wire.send(...(size === 100 ? (bytes.match(/[\s\S]{1,50}/g) ?? []) : [bytes]));
      if (name === undefined) {
        t.ok(await isClosed(wire), servername);
        t.match(await log.one(), { reason: 'sni_unknown', sni: servername, listener: 'names' });
        continue;
      }
      const got = await servers[name].next();
      t.equal(
        await got.bytes(bytes.length),
        bytes,
        `${servername} in records of ${size}: not a byte differs`,
      );
      got.finish();
      wire.finish();
      await wire.closed();
      t.match(await log.one(), { reason: 'ok', sni: servername.toLowerCase(), path: null, service: name });
    }
  }
  const nameless = await clientHello(t, {});
  const hello = (await clientHello(t, { servername: 'a.test' })).toString('latin1');
  const nul = hello.replace('a.test', 'a\0test');
  const bad: [string, string, string, string | null][] = [
    ['no name', nameless.toString('latin1'), 'sni_unknown', null],
    ['HTTP', GET, 'client_hello_malformed', 'not_handshake'],
    ['garbage', '\0\x01\x02\x03', 'client_hello_malformed', 'not_handshake'],
    ['an alert', '\x15\x03\x01\0\x02\x01\0', 'client_hello_malformed', 'not_handshake'],
    ['another version', '\x16\x02\0\0\x05', 'client_hello_malformed', 'record_version'],
    ['an empty record', '\x16\x03\x01\0\0', 'client_hello_malformed', 'record_length'],
    ['a huge record', '\x16\x03\x01\xff\xff', 'client_hello_malformed', 'record_length'],
    ['another message', '\x16\x03\x01\0\x04\x02\0\0\0', 'client_hello_malformed', 'not_client_hello'],
    ['a long message', '\x16\x03\x01\0\x04\x01\xff\0\0', 'client_hello_malformed', 'too_long'],
    ['an empty message', '\x16\x03\x01\0\x04\x01\0\0\0', 'client_hello_malformed', 'bad_hello'],
    ['NUL in the name', nul, 'client_hello_malformed', 'bad_server_name'],
    ['small records without end', '\x16\x03\x01\0\x01\x01'.repeat(1), 'detection_timeout', null],
    ['half of one', hello.slice(0, 100), 'detection_timeout', null],
    ['nothing', '', 'detection_timeout', null],
  ];
  for (const [name, bytes, reason, detail] of bad) {
    const wire = await connect();
    if (bytes !== '') await wire.send(bytes);
    t.ok(await isClosed(wire), name);
    t.match(await log.one(), { reason, detail, service: null }, name);
  }
  const cut = await connect();
  await cut.send(hello.slice(0, 100));
  cut.finish();
  t.ok(await isClosed(cut));
  t.match(await log.one(), { reason: 'client_hello_malformed', detail: 'cut_short' });
  t.match(ended(proxy, 'names'), { client_hello_malformed: 11, detection_timeout: 3, sni_unknown: 4 });
});

t.test('a listener that tells protocols apart', async (t) => {
  const [api = 0, passed = 0] = await freePorts(2);
  const upstream = await startUpstream(t, { port: api, name: 'api' });
  const certificate = { cert: path.join(certs, 'edge.crt'), key: path.join(certs, 'edge.key') };
  const { proxy, target, port, log, connect } = await rig(t, {
    listener: {
      protocol: 'auto',
      tls: { certificates: [certificate], alpn: ['h2', 'http/1.1'] },
      routes: [{ hostnames: ['passed.test'], backends: [{ service: 'passed' }] }],
    },
    services: {
      passed: { protocol: 'tcp', endpoints: [`${HOST}:${passed}`] },
      api: { endpoints: [`${HOST}:${api}`] },
    },
    more: { routes: [{ name: 'all', rules: [{ backends: [{ service: 'api' }] }] }] },
  });
  const server = await Server.start(t, { port: target });
  const secure = { cert: pem('server.crt'), key: pem('server.key') };
  await Server.start(t, { port: passed, secure, serve: (wire) => void wire.send('passed') });
  const opened = (): Promise<Wire> =>
    Wire.connect(t, { port, host: HOST, servername: 'api.example.test', ca: pem('ca.crt') });

  for (const pieces of [[GET], [...GET], ['GE', GET.slice(2)]]) {
    const wire = await connect();
    await wire.send(...pieces);
    t.equal((await wire.final())?.body, 'api', `HTTP/1 in ${pieces.length} pieces`);
    t.equal(upstream.seen.at(-1)?.headers['x-forwarded-proto'], 'http');
    await wire.send(GET);
    t.equal((await wire.final())?.body, 'api', 'and again');
    t.match(await log.next(2), [{ status: 200, flags: [] }, { status: 200 }]);
  }
  const sealed = await opened();
  await sealed.send(GET);
  t.equal((await sealed.final())?.body, 'api', 'HTTP/1 inside TLS');
  t.equal(upstream.seen.at(-1)?.headers['x-forwarded-proto'], 'https');
  t.match(await log.one(), { status: 200, flags: ['tls'] });

  const unopened = await Wire.connect(t, {
    port,
    host: HOST,
    servername: 'passed.test',
    rejectUnauthorized: false,
  });
  t.equal(await unopened.bytes(6), 'passed');
  t.same(
    (unopened.socket as tls.TLSSocket).getPeerX509Certificate()?.fingerprint256,
    new X509Certificate(pem('server.crt')).fingerprint256,
  );
  unopened.socket.destroy();
  t.match(await log.one(), { sni: 'passed.test', service: 'passed' });

  for (const bytes of ['*1\r\n', 'hello', '\0', 'GET key\r\n', '\x16\x03\x01\0\x05\x02']) {
    const wire = await connect();
    await wire.send(bytes);
    const got = await server.next();
    t.equal(await got.bytes(bytes.length), bytes, JSON.stringify(bytes));
    await got.send('answer');
    t.equal(await wire.bytes(6), 'answer');
    got.finish();
    wire.finish();
    await wire.closed();
    t.match(await log.one(), { reason: 'ok', service: 'db', body_in: bytes.length, flags: ['connection'] });
  }
  const inside = await opened();
  await inside.send('*1\r\n');
  const opaque = await server.next();
  t.equal(await opaque.bytes(4), '*1\r\n', 'opaque bytes inside TLS');
  inside.finish();
  opaque.finish();
  t.match(await log.one(), { service: 'db', sni: 'api.example.test', flags: ['tls', 'connection'] });

  for (const url of [`http://${HOST}:${port}`, `https://${HOST}:${port}`]) {
    const session = http2.connect(url, { ca: pem('ca.crt'), servername: 'api.example.test' });
    const stream = session.request({ ':path': '/two' });
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    t.equal(headers[':status'], 200, `HTTP/2 at ${url}`);
    t.equal(upstream.seen.at(-1)?.url, '/two');
    stream.resume();
    await once(stream, 'close');
    session.close();
    t.match(await log.one(), { status: 200, service: 'api' });
  }
  const broken = await connect();
  await broken.send('\x16\x03\x01\0\x05\x01\0\0\x01\x03');
  t.ok(await isClosed(broken));
  t.match(await log.one(), { reason: 'client_hello_malformed' });
  const half = await connect();
  await half.send('GE');
  const got = await server.next();
  t.equal(await got.bytes(2), 'GE', 'what does not become a request in time is opaque');
  t.equal(proxy.stats().panics, 0);
});

t.test('a server may speak first', async (t) => {
  const api = await freePort();
  await startUpstream(t, { port: api, name: 'api' });
  const { target, log, connect, proxy } = await rig(t, {
    listener: { protocol: 'auto' },
    services: { api: { endpoints: [`${HOST}:${api}`] } },
    more: { routes: [{ name: 'all', rules: [{ backends: [{ service: 'api' }] }] }] },
  });
  const server = await Server.start(t, { port: target });
  const client = await connect();
  const greeting = await server.next();
  await greeting.send('220 ready\r\n');
  t.equal(await client.bytes(11), '220 ready\r\n');
  await client.send(GET);
  t.equal(await greeting.bytes(GET.length), GET, 'from then on nothing is looked at');
  client.socket.resetAndDestroy();
  await log.one();

  const slow = await connect();
  const unused = await server.next();
  await slow.send(GET);
  t.equal((await slow.final())?.body, 'api', 'a client that speaks late is served all the same');
  await unused.closed();
  t.equal(unused.text, '', 'the server that was dialled ahead is told nothing');
  t.match(await log.one(), { status: 200, service: 'api' });

  const late = await connect();
  const dialled = await server.next();
  await late.send('hello');
  t.equal(await dialled.bytes(5), 'hello');
  late.finish();
  await dialled.closed();
  dialled.finish();
  await late.closed();
  t.match(await log.one(), { reason: 'ok', service: 'db', body_in: 5 });
  t.same(ended(proxy, 'tcp'), { client_closed: 1, ok: 1 });
});

/** Whether nobody listens there. */
async function isFree(port: number): Promise<boolean> {
  const server = net.createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false)).listen(port, HOST, () => server.close(() => resolve(true)));
  });
}

t.test('on the ports of such servers nothing is looked at', async (t) => {
  const ports = [11_211, 9300, 6379, 5432, 4444, 3306];
  const free = await Promise.all(ports.map(isFree));
  const port = ports.find((_, index) => free[index]);
  const { target } = await rig(t, { listener: { protocol: 'auto', address: `${HOST}:${port}` } });
  const backend = await Server.start(t, { port: target });
  const began = Date.now();
  const client = await Wire.connect(t, { port: port ?? 0, host: HOST });
  const got = await backend.next();
  t.ok(Date.now() - began < 90, 'dialled at once');
  await client.send(GET);
  t.equal(await got.bytes(GET.length), GET);
});

/** A client's leg (plain, to a service with mutual TLS) and a server's (mutual, policy by identity). */
async function legs(t: Test): Promise<{
  outside: number;
  config: (identity: string, allowed: string) => ProxyConfig;
  proxy: TulleProxy;
  log: Log;
  server: Server;
  inside: number;
}> {
  const [outside = 0, inside = 0, target = 0] = await freePorts(3);
  const file = path.join(temporaryFolder(t), 'access.json');
  const ofTls = (identity: string) => ({
    mode: 'mutual' as const,
    identity: { cert: path.join(certs, `${identity}.crt`), key: path.join(certs, `${identity}.key`) },
    trustBundle: path.join(certs, 'ca.crt'),
  });
  const config = (identity: string, allowed: string): ProxyConfig => ({
    workers: 2,
    accessLog: { requests: 'all', file },
    listeners: {
      out: { address: `${HOST}:${outside}`, protocol: 'tcp', backends: [{ service: 'peer' }] },
      in: {
        address: `${HOST}:${inside}`,
        protocol: 'tcp',
        tls: ofTls('server'),
        backends: [{ service: 'db' }],
      },
    },
    services: {
      peer: {
        protocol: 'tcp',
        endpoints: [`${HOST}:${inside}`],
        tls: { ...ofTls(identity), expect: ['spiffe://example.test/ns/shop/sa/reviews'] },
      },
      db: { protocol: 'tcp', endpoints: [`${HOST}:${target}`] },
    },
    authorization: [
      {
        name: 'by-identity',
        listeners: ['in'],
        action: 'allow',
        rules: [{ from: [`spiffe://example.test/ns/shop/sa/${allowed}`] }],
      },
    ],
  });
  const server = await Server.start(t, { port: target, serve: echo });
  const proxy = await startProxy(t, config('client', 'web'));
  return { outside, inside, config, proxy, server, log: new Log(file) };
}

t.test('a tcp service with mutual TLS, and authorization by identity', async (t) => {
  const { outside, inside, config, proxy, log, server } = await legs(t);
  const text = 'x'.repeat(100_000);
  const wire = await Wire.connect(t, { port: outside, host: HOST });
  await wire.send(text);
  t.equal(await wire.bytes(text.length), text);
  wire.finish();
  await wire.closed();
  const lines = await log.next(2);
  const of = (name: string) => lines.find(({ listener }) => listener === name);
  t.match(of('in'), {
    reason: 'ok',
    policy: 'by-identity',
    peer_id: 'spiffe://example.test/ns/shop/sa/web',
    flags: ['tls', 'mtls', 'connection'],
    body_in: text.length,
    body_out: text.length,
  });
  t.match(of('out'), { reason: 'ok', body_in: text.length, body_out: text.length, peer_id: null });

  const taken = server.count;
  const stranger = await Wire.connect(t, {
    port: inside,
    host: HOST,
    ca: pem('ca.crt'),
    cert: pem('server.crt'),
    key: pem('server.key'),
    checkServerIdentity: () => undefined,
  });
  await stranger.send('hello');
  t.ok(await isClosed(stranger));
  t.equal(stranger.text, '');
  t.match(await log.one(), { reason: 'denied', peer_id: 'spiffe://example.test/ns/shop/sa/reviews' });
  const nobody = await Wire.connect(t, { port: inside, host: HOST, ca: pem('ca.crt') }).catch(
    () => undefined,
  );
  await nobody?.closed();
  t.match(await log.one(), { reason: 'tls_handshake', listener: 'in', service: null });
  const plain = await Wire.connect(t, { port: inside, host: HOST });
  await plain.send('hello');
  t.ok(await isClosed(plain));
  t.match(await log.one(), { reason: 'tls_handshake' });
  t.equal(server.count, taken, 'none of them got through');

  await proxy.apply(config('server', 'web'));
  const mistaken = await Wire.connect(t, { port: outside, host: HOST });
  await mistaken.send('hello');
  t.ok(await isClosed(mistaken));
  mistaken.finish();
  const [first, second] = await log.next(2);
  t.same([first?.reason, second?.reason].toSorted()[0], 'denied', 'another identity is refused there');
  t.equal(server.count, taken);
});

t.test('a change of policy is felt by what is open', async (t) => {
  const { outside, config, proxy, log } = await legs(t);
  const open = async (): Promise<Wire> => {
    const wire = await Wire.connect(t, { port: outside, host: HOST });
    await wire.send('x');
    t.equal(await wire.bytes(1), 'x');
    return wire;
  };
  const first = await open();
  for (let round = 0; round < 3; round += 1) {
    await proxy.apply({ ...config('client', 'web'), drain: `${round + 5}s` });
    await first.send('still');
    t.equal(await first.bytes(5), 'still', 'what is still allowed goes on');
  }
  await proxy.apply(config('client', 'nobody'));
  await first.closed();
  t.equal(first.broken, true, 'it is not taken for a proper end');
  const lines = await log.next(2);
  const denied = lines.find(({ listener }) => listener === 'in');
  t.match(denied, { reason: 'denied', detail: 'by_a_change', body_in: 16 });
  t.match(ended(proxy, 'in'), { denied: 1 });
  await proxy.apply(config('client', 'web'));
  (await open()).socket.destroy();
});

t.test('upgraded connections, too; and a listener that is gone ends with the drain', async (t) => {
  const [port = 0, target = 0] = await freePorts(2);
  const file = path.join(temporaryFolder(t), 'access.json');
  const server = await Server.start(t, { port: target });
  const config = (paths: string, name = 'web'): ProxyConfig => ({
    workers: 1,
    drain: '600ms',
    accessLog: { requests: 'all', file },
    listeners: { [name]: { address: `${HOST}:${port}` } },
    services: { ws: { endpoints: [`${HOST}:${target}`] } },
    routes: [{ name: 'all', rules: [{ backends: [{ service: 'ws' }] }] }],
    authorization: [
      { name: 'some', listeners: [name], action: 'allow', rules: [{ paths: [{ prefix: paths }] }] },
    ],
  });
  const proxy = await startProxy(t, config('/'));
  const log = new Log(file);
  const upgrade = async (target: string): Promise<[Wire, Wire]> => {
    const wire = await Wire.connect(t, { port, host: HOST });
    const head = `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`;
    await wire.send(head);
    const peer = await server.next();
    await peer.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    t.equal((await wire.final())?.status, 101);
    peer.text = '';
    return [wire, peer];
  };
  const [kept, keptPeer] = await upgrade('/a/../chat');
  const [cut] = await upgrade('/other');
  await proxy.apply(config('/chat'));
  await cut.closed();
  t.match(await log.one(), { path: '/other', status: 101, reason: 'denied', detail: 'by_a_change' });
  await kept.send('ping');
  t.equal(await keptPeer.bytes(4), 'ping', 'decided by the path that policy saw');
  const began = Date.now();
  await proxy.apply(config('/chat', 'renamed'));
  await kept.send('ping');
  t.equal(await keptPeer.bytes(4), 'ping');
  await kept.closed();
  t.ok(Date.now() - began >= 550, 'it had as long as a drain');
  t.match(await log.one(), { reason: 'draining', status: 101 });

  await proxy.apply(config('/'));
  const [last, lastPeer] = await upgrade('/last');
  const drained = proxy.drain(500);
  await new Promise((resolve) => setTimeout(resolve, 250));
  await last.send('ping');
  t.equal(await lastPeer.bytes(4), 'ping', 'a drain waits for it');
  t.equal(await drained, false);
  await proxy.close();
  await last.closed();
  t.match(await log.one(), { path: '/last', reason: 'draining', status: 101 });
});

t.test('a drain lets connections run until its end', async (t) => {
  const [port = 0, admin = 0, target = 0] = await freePorts(3);
  const folder = temporaryFolder(t);
  await Server.start(t, { port: target, serve: echo });
  const file = path.join(folder, 'tcp.yaml');
  writeFileSync(
    file,
    `workers: 2
drain: 1500ms
accessLog: { requests: all, file: ${folder}/access.json }
listeners:
  tcp: { address: "${HOST}:${port}", protocol: tcp, backends: [{ service: db }] }
  admin: { address: "${HOST}:${admin}", admin: true }
services: { db: { protocol: tcp, endpoints: ["${HOST}:${target}"] } }
`,
  );
  const proxy = startTulle(t, ['proxy', '--config', file]);
  await proxy.says(/^ready/m);
  const short = await Wire.connect(t, { port, host: HOST });
  const long = await Wire.connect(t, { port, host: HOST });
  for (const wire of [short, long]) {
    await wire.send('x');
    await wire.bytes(1);
  }
  const began = Date.now();
  proxy.child.kill('SIGTERM');
  await proxy.says(/"event":"draining"/);
  await new Promise((resolve) => setTimeout(resolve, 600));
  for (const wire of [short, long]) {
    await wire.send('still');
    t.equal(await wire.bytes(5), 'still');
  }
  short.finish();
  await short.closed();
  await long.closed();
  t.ok(Date.now() - began >= 1_400, 'not before the limit');
  t.equal((await proxy.ended).status, 0);
  const log = new Log(path.join(folder, 'access.json'));
  t.match(await log.next(2), [{ reason: 'ok' }, { reason: 'draining', body_in: 6 }]);
});

t.test('what is under way at the very end is recorded, too', async (t) => {
  const [port = 0, target = 0] = await freePorts(2);
  const file = path.join(temporaryFolder(t), 'access.json');
  const server = await Server.start(t, { port: target });
  const proxy = await startProxy(t, {
    workers: 1,
    accessLog: { requests: 'all', file },
    listeners: { web: { address: `${HOST}:${port}` } },
    services: { api: { endpoints: [`${HOST}:${target}`] } },
    routes: [{ name: 'all', rules: [{ backends: [{ service: 'api' }] }] }],
  });
  const one = await Wire.connect(t, { port, host: HOST });
  await one.send('GET /one HTTP/1.1\r\nHost: a\r\n\r\n');
  await server.next();
  const session = http2.connect(`http://${HOST}:${port}`).on('error', () => {});
  session.request({ ':path': '/two' }).on('error', () => {});
  await server.next();
  await proxy.close();
  session.destroy();
  const lines = await new Log(file).next(2);
  t.same(lines.map(({ path, reason }) => [path, reason]).toSorted(), [
    ['/one', 'draining'],
    ['/two', 'draining'],
  ]);
});

t.test('a burst of connections leaves nothing behind', async (t) => {
  const { target, connect, proxy } = await rig(t);
  await Server.start(t, { port: target, serve: echo });
  const wires = await Promise.all(Array.from({ length: 200 }, connect));
  for (const [index, wire] of wires.entries()) {
    await wire.send('x');
    await wire.bytes(1);
    if (index % 3 === 0) wire.socket.destroy();
    else wire.finish();
  }
  await untilDeserted(proxy);
  const [db] = proxy.stats().services as { connections: { active: number; total: number } }[];
  t.match(db?.connections, { active: 0, total: 200 });
});
