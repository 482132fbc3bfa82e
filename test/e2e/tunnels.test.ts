// Upgrades and CONNECT by streams of HTTP/2 (RFC 8441, RFC 9113 section 8.5): the other protocol goes through, ends, limits
// and policies included.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import t, { type Test } from 'tap';
import type { TulleProxy } from '../../src/index.js';
import { freePorts } from '../ports.js';
import { BARE, startProxy } from './rig.js';
import { session } from './two.js';
import { PATIENCE_MS } from './wire.js';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Speaks first, then echoes, and says `bye` to an end: as an upgrade of HTTP/1.1. */
async function echoOne(t: Test, port: number): Promise<string[]> {
  const heads: string[] = [];
  const server = http.createServer((_, response) => void response.writeHead(403).end('no'));
  server.on('upgrade', ({ method, url, headers }, socket) => {
    heads.push(`${method} ${url} ${headers.upgrade} ${headers['x-asked'] ?? ''}`);
    const key = String(headers['sec-websocket-key']);
    if (Buffer.from(key, 'base64').length !== 16) return socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    const accept = createHash('sha1')
      .update(key + GUID)
      .digest('base64');
    const agreed = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`];
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${agreed.join('\r\n')}\r\nX-Agreed: yes\r\n\r\nhello `);
    socket.on('data', (data) => socket.write(data)).on('end', () => socket.end(' bye'));
    socket.on('error', () => {});
    return undefined;
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close().closeAllConnections());
  return heads;
}

/** The same by HTTP/2, if it takes tunnels. */
async function echoTwo(t: Test, port: number, enableConnectProtocol: boolean): Promise<string[]> {
  const heads: string[] = [];
  const server = http2.createServer({ settings: { enableConnectProtocol } });
  server.on('stream', (stream, headers) => {
    heads.push(
      `${headers[':method']} ${headers[':path']} ${headers[':protocol']} ${headers['x-asked'] ?? ''}`,
    );
    stream.respond({ ':status': 200, 'x-agreed': 'yes' });
    stream.write('hello ');
    stream.on('data', (data) => stream.write(data)).on('end', () => stream.end(' bye'));
    stream.on('error', () => {});
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (found) => void sessions.add(found));
  t.teardown(() => {
    for (const found of sessions) found.destroy();
    server.close();
  });
  return heads;
}

interface Tunnel {
  readonly stream: http2.ClientHttp2Stream;
  readonly status: number;
  readonly agreed: unknown;
  /** All that came, once it holds this text. */
  until(text: string): Promise<string>;
  /** How the stream ended: its error code, and all that came. */
  readonly ended: Promise<readonly [number, string]>;
}

async function tunnel(client: http2.ClientHttp2Session, head: http2.OutgoingHttpHeaders): Promise<Tunnel> {
  const stream = client.request({ ':method': 'CONNECT', ':authority': 'a.example.test:80', ...head });
  stream.setEncoding('utf8').on('error', () => {});
  stream.setTimeout(PATIENCE_MS, () => stream.destroy(new Error('nothing happens')));
  let got = '';
  stream.on('data', (text: string) => {
    got += text;
  });
  const ended = new Promise<readonly [number, string]>((resolve) => {
    stream.on('close', () => resolve([stream.rstCode ?? -1, got]));
  });
  const [headers] = (await Promise.race([
    once(stream, 'response').catch(() => ended.then((how) => Promise.reject(new Error(how.join(' '))))),
    ended.then((how) => Promise.reject(new Error(`no answer: ${how.join(' ')}`))),
  ])) as [http2.IncomingHttpHeaders];
  const until = async (text: string) => {
    while (!got.includes(text)) await Promise.race([once(stream, 'data').catch(() => {}), ended]);
    return got;
  };
  return { stream, status: Number(headers[':status']), agreed: headers['x-agreed'], until, ended };
}

const chat = (path: string, more: Record<string, string> = {}) => ({
  ':protocol': 'websocket',
  ':path': path,
  ':scheme': 'http',
  'sec-websocket-version': '13',
  ...more,
});

async function rig(t: Test, { workers = 1, takes = true } = {}) {
  const [port = 0, plain = 0, one = 0, two = 0, raw = 0] = await freePorts(5);
  const heads = [await echoOne(t, one), await echoTwo(t, two, takes)];
  const sink = net.createServer((socket) => void socket.pipe(socket));
  sink.listen(raw, '127.0.0.1');
  t.teardown(() => sink.close());
  const config = {
    workers,
    drain: '5s',
    listeners: {
      web: { address: `127.0.0.1:${port}`, headers: BARE, connect: true },
      plain: { address: `127.0.0.1:${plain}`, headers: BARE, upgrade: false },
    },
    services: {
      one: { endpoints: [`127.0.0.1:${one}`] },
      two: { protocol: 'http2', endpoints: [`127.0.0.1:${two}`] },
      raw: { endpoints: [`127.0.0.1:${raw}`] },
    },
    routes: [
      {
        name: 'all',
        rules: [
          { matches: [{ method: 'CONNECT' }], backends: [{ service: 'raw' }] },
          { matches: [{ path: { prefix: '/two' } }], backends: [{ service: 'two' }] },
          {
            matches: [{ path: { exact: '/idle' } }],
            timeouts: { streamIdle: '300ms' },
            backends: [{ service: 'one' }],
          },
          { backends: [{ service: 'one' }] },
        ],
      },
    ],
  } as const;
  return { proxy: await startProxy(t, config as never), config, port, plain, heads };
}

const reasons = (proxy: TulleProxy) =>
  Object.assign(
    {},
    ...(proxy.stats().listeners as { reasons: object }[]).map((listener) => listener.reasons),
  );

for (const workers of [1, 4]) {
  t.test(`tunnels with ${workers} workers`, async (t) => {
    const { proxy, config, port, plain, heads } = await rig(t, { workers });

    await t.test('a WebSocket to either kind of upstream', async (t) => {
      for (const [index, path] of ['/one/chat?a=b', '/two/chat?a=b'].entries()) {
        const client = await session(t, port);
        await once(client, 'remoteSettings');
        t.equal(client.remoteSettings.enableConnectProtocol, true);
        const found = await tunnel(client, chat(path, { 'x-asked': 'me' }));
        t.same([found.status, found.agreed], [200, 'yes']);
        t.equal(await found.until('hello'), 'hello ', 'the server may speak first');
        found.stream.write('ping');
        await found.until('ping');
        const large = 'x'.repeat(300_000);
        found.stream.write(large);
        found.stream.end('end');
        const [code, got] = await found.ended;
        t.same([code, got === `hello ping${large}end bye`], [0, true], 'windows, and an end each way');
        t.same(heads[index], [`${index === 0 ? 'GET' : 'CONNECT'} ${path} websocket me`]);
      }
    });

    await t.test('bytes that the client sends ahead wait for the agreement', async (t) => {
      const client = await session(t, port);
      const stream = client.request({ ':method': 'CONNECT', ':authority': 'a', ...chat('/one/early') });
      stream.write('early ');
      const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
      t.equal(headers[':status'], 200);
      let got = '';
      for await (const part of stream.setEncoding('utf8')) {
        got += String(part);
        if (got === 'hello early ') stream.end();
      }
      t.equal(got, 'hello early  bye');
    });

    await t.test('CONNECT, where the listener takes it', async (t) => {
      const found = await tunnel(await session(t, port), {});
      t.equal(found.status, 200);
      found.stream.end('anything');
      t.same(await found.ended, [0, 'anything']);
      t.equal((await tunnel(await session(t, plain), {})).status, 405);
    });

    await t.test('a listener without upgrades neither offers nor takes them', async (t) => {
      const client = await session(t, plain);
      await once(client, 'remoteSettings');
      t.equal(client.remoteSettings.enableConnectProtocol ?? false, false);
    });

    await t.test('silence ends one, by its own rule', async (t) => {
      const found = await tunnel(await session(t, port), chat('/idle'));
      const [code] = await found.ended;
      t.equal(code, http2.constants.NGHTTP2_INTERNAL_ERROR);
      t.equal(reasons(proxy).stream_idle, 1);
    });

    await t.test('one outlives changes, and ends when a policy denies it', async (t) => {
      const client = await session(t, port);
      const [stays, goes] = [
        await tunnel(client, chat('/one/stays')),
        await tunnel(client, chat('/one/goes')),
      ];
      await proxy.apply({ ...config, drain: '6s' } as never);
      stays.stream.write('still ');
      await stays.until('still');
      const rules = [{ paths: [{ exact: '/one/goes' }] }];
      await proxy.apply({
        ...config,
        authorization: [{ name: 'no', action: 'deny', listeners: ['web'], rules }],
      } as never);
      const [code] = await goes.ended;
      t.equal(code, http2.constants.NGHTTP2_INTERNAL_ERROR);
      t.equal(reasons(proxy).denied, 1);
      stays.stream.end('there');
      t.same(await stays.ended, [0, 'hello still there bye']);
      await proxy.apply(config as never);
    });

    await t.test('nothing is left open', async () => {
      t.equal(proxy.stats().panics, 0);
    });
  });
}

/** A WebSocket of an HTTP/1.1 client; what came behind the head, once it is over. */
async function upgradeOne(port: number, path: string, said: string) {
  const key = randomBytes(16).toString('base64');
  const headers = { upgrade: 'websocket', connection: 'upgrade', 'sec-websocket-key': key, 'x-asked': 'one' };
  const request = http.get({ host: '127.0.0.1', port, path, headers, agent: false });
  const [answer, socket, first] = (await Promise.race([
    once(request, 'upgrade'),
    once(request, 'response').then(([response]) => [response]),
  ])) as [http.IncomingMessage, net.Socket | undefined, Buffer | undefined];
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64');
  const proven = answer.headers['sec-websocket-accept'] === accept;
  if (socket === undefined) {
    answer.resume();
    return { status: answer.statusCode, proven, got: '' };
  }
  let got = first?.toString() ?? '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    got += text;
  });
  socket.end(said);
  await once(socket, 'close');
  return { status: answer.statusCode, proven, got };
}

t.test('a WebSocket of HTTP/1.1 to an upstream of HTTP/2', async (t) => {
  const { port, heads, proxy } = await rig(t);
  t.same(await upgradeOne(port, '/two/old', 'ping'), { status: 101, proven: true, got: 'hello ping bye' });
  const large = 'y'.repeat(200_000);
  t.same(await upgradeOne(port, '/two/old', large), { status: 101, proven: true, got: `hello ${large} bye` });
  t.same(heads[1], ['CONNECT /two/old websocket one', 'CONNECT /two/old websocket one']);
  t.same(await upgradeOne(port, '/one/old', 'ping'), { status: 101, proven: true, got: 'hello ping bye' });
  t.equal(proxy.stats().panics, 0);
});

t.test('an upstream of HTTP/2 that takes no tunnels', async (t) => {
  const { port, proxy } = await rig(t, { takes: false });
  const found = await tunnel(await session(t, port), chat('/two/no'));
  t.equal(found.status, 403);
  t.same(await upgradeOne(port, '/two/no', ''), { status: 403, proven: false, got: '' });
  t.equal(reasons(proxy).upgrade_refused, 2);
});
