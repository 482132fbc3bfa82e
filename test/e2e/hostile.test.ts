// Hostile and unusual HTTP/1 through a running proxy, judged by what reaches the other side.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { freePorts } from '../ports.js';
import type { Scope } from '../process.js';
import { ANSWERS, type HostileAnswer } from './hostile-answers.js';
import { EXCHANGES, type Exchange } from './hostile-requests.js';
import { certificates, simple, startProxy, untilDeserted } from './rig.js';
import { type Got, Recorder, type UpstreamConn, Wire } from './wire.js';

/** Shows a table's failures as lines, and counts its rows. */
function report(t: Test, failures: readonly string[], rows: readonly { name: string }[]): void {
  for (const { name } of rows) {
    const mine = failures.filter((failure) => failure.startsWith(`${name}: `));
    t.same(mine, [], name);
  }
}

/** Goes through one row of requests; what went wrong, each as `name: …`. */
async function exchange(
  scope: Scope,
  { recorder, port, row }: { recorder: Recorder; port: number; row: Exchange },
): Promise<string[]> {
  const wrong: string[] = [];
  const say = (text: string): number => wrong.push(`${row.name}: ${text}`);
  recorder.flush();
  const wire = await Wire.connect(scope, { port, host: '127.0.0.1' });
  await wire.send(...row.send);
  const statuses: (number | undefined)[] = [];
  for (const [index] of row.statuses.entries()) {
    const answer = await wire.final(row.methods?.[index]);
    statuses.push(answer?.status);
    if (answer === undefined) break;
    if (!answer.whole) say('an answer was cut');
  }
  if (statuses.join() !== row.statuses.join()) say(`answered ${statuses} instead of ${row.statuses}`);
  if (row.stays) {
    await wire.send('GET /again HTTP/1.1\r\nHost: a\r\n\r\n');
    const again = await wire.final();
    if (again?.status !== 200) say(`the connection did not serve again: ${again?.line}`);
  } else {
    await wire.closed();
    if (wire.text !== '') say(`sent more: ${wire.text}`);
  }
  wire.socket.destroy();
  // Whatever was forwarded is there once a request behind it is.
  const last = await Wire.connect(scope, { port, host: '127.0.0.1' });
  await last.send('GET /last HTTP/1.1\r\nHost: a\r\n\r\n');
  await last.final();
  last.socket.destroy();
  const got = recorder
    .flush()
    .filter(({ line }) => line !== 'GET /last HTTP/1.1' && line !== 'GET /again HTTP/1.1');
  compare(row, got, say);
  for (const bytes of recorder.garbage.splice(0))
    if (row.upstream !== 'cut') say(`upstream got ${JSON.stringify(bytes)}`);
  return wrong;
}

function compare(row: Exchange, got: readonly Got[], say: (text: string) => void): void {
  if (row.upstream === 'cut') {
    for (const { line, whole } of got) if (whole) say(`the upstream took ${line} for whole`);
    return;
  }
  const expected = row.upstream.map(({ head, body = '' }) => JSON.stringify([...head, body]));
  const found = got.map(({ line, fields, body, whole }) =>
    JSON.stringify([line, ...fields, body, ...(whole ? [] : ['cut'])]),
  );
  if (found.join('\n') !== expected.join('\n')) {
    say(`upstream got\n${found.join('\n')}\ninstead of\n${expected.join('\n')}`);
  }
}

t.test('requests: what is not beyond doubt reaches nobody', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  const recorder = await Recorder.start(t, { listen: upstream });
  const proxy = await startProxy(t, simple(port, [`127.0.0.1:${upstream}`]));
  t.ok(EXCHANGES.length >= 220, `${EXCHANGES.length} exchanges`);
  t.equal(new Set(EXCHANGES.map(({ name }) => name)).size, EXCHANGES.length, 'names tell rows apart');
  const failures: string[] = [];
  for (const row of EXCHANGES) {
    failures.push(
      ...(await exchange(t, { recorder, port, row }).catch((cause: unknown) => [
        `${row.name}: ${String(cause)}`,
      ])),
    );
  }
  report(t, failures, EXCHANGES);
  await untilDeserted(proxy);
});

/** Goes through one hostile answer on a connection that is used again; `ended`: the upstream's connection is. */
async function hostileAnswer(
  scope: Scope,
  { port, row, ended }: { port: number; row: HostileAnswer; ended: () => Promise<void> },
): Promise<string[]> {
  const wrong: string[] = [];
  const say = (text: string): number => wrong.push(`${row.name}: ${text}`);
  const { method = 'GET', seen } = row;
  let wire = await Wire.connect(scope, { port, host: '127.0.0.1' });
  await wire.send(`${method} /hostile HTTP/1.1\r\nHost: a\r\n\r\n`);
  const answer = await wire.final(method);
  if (answer === undefined) say('no answer');
  else if (seen === 'refused' && answer.status !== 502) say(`answered ${answer.line}`);
  else if (seen === 'cut' && answer.whole && answer.status !== 502) say(`took ${answer.line} for whole`);
  else if (typeof seen === 'object') {
    if (answer.status !== seen.status || answer.body !== seen.body || !answer.whole) {
      say(`answered ${answer.line} ${JSON.stringify(answer.body)}, whole: ${answer.whole}`);
    }
  }
  if (row.settles) await ended();
  for (const target of ['/next', '/after']) {
    if (wire.ended) wire = await Wire.connect(scope, { port, host: '127.0.0.1' });
    await wire.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    let next = await wire.final();
    if (next === undefined && wire.text === '') {
      wire = await Wire.connect(scope, { port, host: '127.0.0.1' });
      await wire.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
      next = await wire.final();
    }
    if (next?.body !== target) say(`${target} was answered ${next?.line} ${next?.body}`);
  }
  wire.socket.destroy();
  if (wire.text !== '') say(`more came: ${wire.text}`);
  return wrong;
}

/** Does what the row says on the upstream's side. */
async function misbehave(row: HostileAnswer, { socket }: UpstreamConn): Promise<void> {
  for (const [index, piece] of row.pieces.entries()) {
    if (index > 0) for (let count = 0; count < 4; count += 1) await new Promise(setImmediate);
    if (socket.destroyed) return;
    await new Promise((resolve) => socket.write(piece, 'latin1', resolve));
  }
  if (row.ends === 'close') socket.end();
  if (row.ends === 'reset') socket.resetAndDestroy();
}

t.test('answers: nothing hostile reaches the client', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  let row: HostileAnswer | undefined;
  let ended = (): Promise<void> => Promise.resolve();
  const answer = (got: Got, conn: UpstreamConn): string | undefined => {
    const target = got.line.split(' ')[1] ?? '';
    if (target !== '/hostile') return `HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`;
    const over = once(conn.socket, 'end').then(() => {});
    ended = () => over;
    if (row !== undefined) void misbehave(row, conn);
    return undefined;
  };
  await Recorder.start(t, { listen: upstream, answer });
  const proxy = await startProxy(t, simple(port, [`127.0.0.1:${upstream}`]));
  t.ok(ANSWERS.length >= 50, `${ANSWERS.length} answers`);
  t.equal(new Set(ANSWERS.map(({ name }) => name)).size, ANSWERS.length, 'names tell rows apart');
  const failures: string[] = [];
  for (row of ANSWERS) {
    const { name } = row;
    failures.push(
      ...(await hostileAnswer(t, { port, row, ended: () => ended() }).catch((cause: unknown) => [
        `${name}: ${String(cause)}`,
      ])),
    );
  }
  report(t, failures, ANSWERS);
  await untilDeserted(proxy);
});

/** The same numbers each time: what fails once fails again. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Takes bytes out, doubles them, or puts others in; mostly those that mean something in HTTP. */
function mutate(bytes: string, random: (below: number) => number): string {
  const spice = [
    '\r',
    '\n',
    '\r\n',
    '\r\n\r\n',
    ' ',
    '\t',
    ':',
    '\0',
    ',',
    ';',
    '0',
    '5',
    '%',
    '/',
    '..',
    '\x0b',
    '\xff',
    'chunked',
  ];
  let text = bytes;
  for (let times = 1 + random(3); times > 0; times -= 1) {
    const at = random(text.length);
    const length = random(4);
    const kind = random(3);
    const put =
      kind === 0 ? '' : kind === 1 ? text.slice(at, at + length) : (spice[random(spice.length)] ?? '');
    text = text.slice(0, at) + put + text.slice(kind === 1 ? at : at + length);
  }
  return text;
}

t.test('requests with a few bytes wrong never make two, nor half a one', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  const recorder = await Recorder.start(t, { listen: upstream });
  const proxy = await startProxy(t, simple(port, [`127.0.0.1:${upstream}`]));
  const seeds = [
    'POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello',
    'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: z\r\n\r\n',
    'GET /a/../b HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-b\r\nX-B: c\r\n\r\n',
  ];
  const random = createRandom(20_261_123);
  const counts = { passed: 0, refused: 0, waiting: 0 };
  const wrong: string[] = [];
  for (let round = 0; round < 900; round += 1) {
    const bytes = mutate(seeds[round % seeds.length] ?? '', random);
    const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
    await wire.send(bytes);
    // What is not whole yet is not answered before its end: half a head, half a body.
    wire.finish();
    const answer = await wire.final().catch((cause: unknown) => {
      wrong.push(`${JSON.stringify(bytes)}: ${String(cause)}`);
      return undefined;
    });
    wire.socket.destroy();
    if (answer === undefined) counts.waiting += 1;
    else if (answer.status === 200) counts.passed += 1;
    else counts.refused += 1;
    if (answer !== undefined && ![200, 400, 405, 414, 417, 431, 501, 505].includes(answer.status)) {
      wrong.push(`${JSON.stringify(bytes)}: ${answer.line}`);
    }
    for (const got of recorder.flush().filter(({ whole }) => whole)) {
      const words = got.line.split(' ');
      const odd =
        words.length !== 3 ||
        words[2] !== 'HTTP/1.1' ||
        got.fields.filter((field) => /^host:/i.test(field)).length !== 1;
      if (odd) wrong.push(`${JSON.stringify(bytes)}: upstream got ${JSON.stringify(got)}`);
    }
    for (const garbage of recorder.garbage.splice(0))
      wrong.push(`${JSON.stringify(bytes)}: upstream got ${garbage}`);
  }
  t.same(wrong, []);
  await untilDeserted(proxy);
  t.ok(counts.passed > 50 && counts.refused > 200, JSON.stringify(counts));
});

/** Cuts text into up to `most` pieces at random places. */
function split(text: string, most: number, random: (below: number) => number): string[] {
  const cuts = Array.from({ length: random(most) }, () => random(text.length)).sort((a, b) => a - b);
  return [0, ...cuts]
    .map((from, index) => text.slice(from, cuts[index] ?? text.length))
    .filter((piece) => piece !== '');
}

/** The same body, framed in one of the ways there are. */
function frame(body: string, kind: number, random: (below: number) => number): string {
  if (kind === 0) return `Content-Length: ${body.length}\r\n\r\n${body}`;
  const chunks = split(body, 6, random).map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`);
  return `Transfer-Encoding: chunked\r\n\r\n${chunks.join('')}0\r\n\r\n`;
}

t.test('wherever messages are cut on their way, they arrive as they were', async (t) => {
  const [port = 0, secure = 0, upstream = 0] = await freePorts(3);
  const random = createRandom(7);
  const echo = async (body: string, { socket }: UpstreamConn): Promise<void> => {
    const head = random(4) === 0 ? 'HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n' : '';
    for (const piece of split(`${head}HTTP/1.1 200 OK\r\n${frame(body, random(2), random)}`, 8, random)) {
      await new Promise((resolve) => socket.write(piece, 'latin1', resolve));
      if (random(2) === 0) await new Promise(setImmediate);
    }
  };
  const recorder = await Recorder.start(t, {
    listen: upstream,
    answer: ({ body }, conn) => {
      void echo(body, conn);
      return undefined;
    },
  });
  const certs = await certificates(t);
  const [cert, key] = ['edge.crt', 'edge.key'].map((name) => path.join(certs, name));
  const config = simple(port, [`127.0.0.1:${upstream}`]);
  const tls = { certificates: [{ cert: cert ?? '', key: key ?? '' }] };
  const proxy = await startProxy(t, {
    ...config,
    listeners: { ...config.listeners, secure: { address: `127.0.0.1:${secure}`, tls } },
  });
  const ca = readFileSync(path.join(certs, 'ca.crt'));
  const round = async (wire: Wire, index: number): Promise<string[]> => {
    const bodies = Array.from(
      { length: 1 + random(6) },
      (_, at) => `${index}.${at}.${'z'.repeat(random(3) === 0 ? random(90_000) : random(40))}`,
    );
    const requests = bodies.map(
      (body) => `POST /${body.length} HTTP/1.1\r\nHost: a\r\n${frame(body, random(2), random)}`,
    );
    void wire.send(...split(requests.join(''), 24, random));
    const wrong: string[] = [];
    for (const body of bodies) {
      const answer = await wire.final();
      if (answer?.status !== 200 || answer.body !== body)
        wrong.push(`${index}: ${answer?.line} ${answer?.body.slice(0, 40)}`);
    }
    return wrong;
  };
  const wrong: string[] = [];
  const client = async (to: number, from: number): Promise<void> => {
    const wire = await Wire.connect(t, { port: to, host: '127.0.0.1', ...(to === secure ? { ca } : {}) });
    for (let index = from; index < from + 40; index += 1) wrong.push(...(await round(wire, index)));
    wire.socket.destroy();
  };
  await Promise.all([client(port, 0), client(port, 100), client(secure, 200), client(secure, 300)]);
  t.same(wrong, []);
  t.same(recorder.garbage, []);
  t.same(
    recorder.requests.filter(({ line, body, whole }) => !whole || line !== `POST /${body.length} HTTP/1.1`),
    [],
  );
  await untilDeserted(proxy);
});

t.test('answers with a few bytes wrong end: whole, visibly cut, or as a 502', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  const seeds = [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: z\r\n\r\n',
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello',
  ];
  const random = createRandom(20_261_124);
  let sent = '';
  await Recorder.start(t, {
    listen: upstream,
    answer: (_got, { socket }) => {
      socket.end(sent, 'latin1');
      return undefined;
    },
  });
  const proxy = await startProxy(t, simple(port, [`127.0.0.1:${upstream}`]));
  const wrong: string[] = [];
  const counts = { passed: 0, refused: 0, cut: 0 };
  for (let index = 0; index < 900; index += 1) {
    sent = mutate(seeds[index % seeds.length] ?? '', random);
    const wire = await Wire.connect(t, { port, host: '127.0.0.1' });
    await wire.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    const answer = await wire
      .final()
      .catch((cause: unknown) => void wrong.push(`${JSON.stringify(sent)}: ${String(cause)}`));
    await wire.closed();
    if (wire.text !== '') wrong.push(`${JSON.stringify(sent)}: more came: ${wire.text}`);
    wire.socket.destroy();
    if (answer === undefined) wrong.push(`${JSON.stringify(sent)}: no answer`);
    else if (answer.status === 502) counts.refused += 1;
    else if (answer.whole) counts.passed += 1;
    else counts.cut += 1;
  }
  t.same(wrong, []);
  t.ok(counts.passed > 50 && counts.refused > 200 && counts.cut > 10, JSON.stringify(counts));
  await untilDeserted(proxy);
});
