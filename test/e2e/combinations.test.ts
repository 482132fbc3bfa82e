// HTTP/1 and HTTP/2 in, HTTP/1 and HTTP/2 out: the same requests, the same answers, by one worker and by four.

import { once } from 'node:events';
import path from 'node:path';
import t, { type Test } from 'tap';
import { freePorts } from '../ports.js';
import { start, temporaryFolder } from '../process.js';
import { certificates, simple, startProxy } from './rig.js';
import {
  type Client,
  connect,
  digest,
  filler,
  session,
  startEither,
  TwoClient,
  type Version,
} from './two.js';

const SIZES = [0, 1, 65_535, 65_536, 1_048_576];
const WAYS = ([1, 2] as const).flatMap((from) => ([1, 2] as const).map((to) => [from, to] as const));

async function rig(t: Test, to: Version, workers: number) {
  const [port = 0, upstream = 0] = await freePorts(2);
  const seen = await startEither(t, to, upstream);
  const protocol = to === 2 ? 'http2' : 'http';
  const proxy = await startProxy(
    t,
    simple(port, [], { workers, services: { api: { endpoints: [`127.0.0.1:${upstream}`], protocol } } }),
  );
  return { port, seen, proxy };
}

async function bodies(t: Test, client: Client): Promise<void> {
  for (const size of SIZES) {
    const body = filler(size);
    const headers = { 'x-size': String(size) };
    const told = await client.ask({ path: '/echo', method: 'POST', headers, body });
    t.match(told, { status: 200, headers: { 'x-got': digest(body) } }, `${size} bytes to the upstream`);
    t.equal(digest(told.body), digest(body), `${size} bytes to the client`);
    const trailers = { 'x-last': `${size} bytes` };
    const also = await client.ask({ path: '/echo', method: 'POST', headers, body, trailers });
    t.match(also, { status: 200, headers: { 'x-got': digest(body) }, trailers }, `${size} bytes, trailers`);
    t.equal(digest(also.body), digest(body), `${size} bytes before trailers`);
  }
}

async function forms(t: Test, client: Client): Promise<void> {
  const head = await client.ask({ path: '/status/200', method: 'HEAD' });
  t.match(head, { status: 200, headers: { 'content-length': '5' } }, 'HEAD');
  t.equal(head.body.length, 0, 'HEAD has no body');
  for (const status of [204, 304]) {
    const told = await client.ask({ path: `/status/${status}` });
    t.match([told.status, told.body.length], [status, 0], String(status));
    t.notOk('transfer-encoding' in told.headers, `${status} has no framing`);
  }
  t.match(await client.ask({ path: '/interim' }), { status: 200, interim: [103] }, '103 goes on');
  const body = filler(100_000);
  const headers = { expect: '100-continue', 'content-length': '100000' };
  const told = await client.ask({ path: '/echo', method: 'POST', headers, body });
  t.match(told, { status: 200, headers: { 'x-got': digest(body) } }, 'expect: 100-continue');
  t.ok(told.interim.includes(100), '100 came');
}

async function faults(t: Test, client: Client): Promise<void> {
  const early = await client.ask({ path: '/early', method: 'POST', body: filler(3_000_000) });
  t.match([early.status, early.body.toString()], [403, 'no'], 'an answer before the request has ended');
  const cut = { path: '/cut', headers: { 'x-size': '50000' } };
  await t.rejects(client.ask(cut), 'an answer that breaks off is visibly cut');
  t.equal((await client.ask({ path: '/status/200' })).status, 200, 'what comes next is served');
}

for (const workers of [1, 4]) {
  for (const [from, to] of WAYS) {
    t.test(`HTTP/${from} to HTTP/${to}, workers: ${workers}`, async (t) => {
      const { port } = await rig(t, to, workers);
      const client = await connect(t, from, port);
      await bodies(t, client);
      await forms(t, client);
      await faults(t, client);
    });
  }
}

for (const to of [1, 2] as const) {
  t.test(`1,000 requests to HTTP/${to}, 100 at a time on one connection`, async (t) => {
    const { port, seen } = await rig(t, to, 1);
    const client = new TwoClient(await session(t, port));
    let left = 1000;
    const wrong: string[] = [];
    const one = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const body = filler(left * 40);
        const headers = { 'x-size': String(left) };
        const told = await client.ask({ path: '/slow', method: 'POST', headers, body });
        const right = told.status === 200 && told.headers['x-got'] === digest(body);
        if (!right || told.body.length !== Number(headers['x-size']))
          wrong.push(JSON.stringify(told.headers));
      }
    };
    await Promise.all(Array.from({ length: 100 }, one));
    t.same(wrong, []);
    t.equal(seen.begun, 1000);
    t.ok(seen.most > 50 && seen.most <= 100, `${seen.most} at a time upstream`);
  });

  t.test(`resets by the client reach HTTP/${to}`, async (t) => {
    const { port, seen } = await rig(t, to, 1);
    const connection = await session(t, port);
    const stream = connection.request({ ':path': '/never', ':method': 'POST' }, { endStream: false });
    stream.on('error', () => {}).write('begun');
    while (seen.begun === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    stream.close(8);
    await once(stream, 'close');
    while (seen.aborted === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    t.equal((await new TwoClient(connection).ask({ path: '/status/200' })).status, 200);
  });
}

t.test('curl speaks HTTP/2 by ALPN and by prior knowledge', async (t) => {
  const [plain = 0, sealed = 0, one = 0, two = 0] = await freePorts(4);
  const folder = await certificates(t);
  await Promise.all([startEither(t, 1, one), startEither(t, 2, two)]);
  const pair = { cert: path.join(folder, 'edge.crt'), key: path.join(folder, 'edge.key') };
  await startProxy(t, {
    listeners: {
      plain: { address: `127.0.0.1:${plain}` },
      sealed: { address: `127.0.0.1:${sealed}`, tls: { certificates: [pair] } },
    },
    services: {
      one: { endpoints: [`127.0.0.1:${one}`] },
      two: { endpoints: [`127.0.0.1:${two}`], protocol: 'http2' },
    },
    routes: [
      { name: 'one', hostnames: ['localhost'], rules: [{ backends: [{ service: 'one' }] }] },
      { name: 'two', rules: [{ backends: [{ service: 'two' }] }] },
    ],
  });
  const file = path.join(temporaryFolder(t), 'body');
  const write = '%{http_version} %{response_code} %{size_upload} %{size_download}';
  for (const [way, base] of [
    ['--http2-prior-knowledge', `http://HOST:${plain}`],
    ['--http2', `https://HOST:${sealed}`],
    ['--http1.1', `https://HOST:${sealed}`],
  ] as const) {
    for (const host of ['localhost', '127.0.0.1']) {
      const upload = ['--data-binary', `@${path.join(folder, 'ca.crt')}`, '-H', 'x-size: 300000'];
      const to = ['-o', file, '-w', write, '--cacert', path.join(folder, 'ca.crt')];
      const url = `${base.replace('HOST', host)}/echo`;
      const { stdout, stderr } = await start(t, ['curl', '-sS', way, ...upload, ...to, url]).ended;
      t.match(stdout, way === '--http1.1' ? /^1\.1 200 \d+ 300000$/ : /^2 200 \d+ 300000$/, `${way} ${host}`);
      t.equal(stderr, '');
    }
  }
});
