// What a browser does with HTTP/2: a page over TLS, and a WebSocket that rides on the same connection (RFC 8441).

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright-core';
import t, { type Test } from 'tap';
import { freePorts } from '../ports.js';
import { temporaryFolder } from '../process.js';
import { certificates, simple, startProxy } from './rig.js';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Serves an empty page, and answers each short text of a WebSocket with the same in capitals (RFC 6455 section 5.2). */
async function startApplication(t: Test, port: number): Promise<void> {
  const server = http.createServer((_, response) => {
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>here</title>');
  });
  server.on('upgrade', ({ headers }, socket) => {
    const accept = createHash('sha1')
      .update(headers['sec-websocket-key'] + GUID)
      .digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.on('data', (frame: Buffer) => {
      const [first = 0, second = 0] = frame;
      if ((first & 15) !== 1) return socket.end();
      const mask = frame.subarray(2, 6);
      const masked = frame.subarray(6, 6 + (second & 127));
      const text = Buffer.from(masked.map((byte, at) => byte ^ (mask[at % 4] ?? 0)));
      const answer = Buffer.from(text.toString().toUpperCase());
      return socket.write(Buffer.concat([Buffer.from([0x81, answer.length]), answer]));
    });
    socket.on('error', () => {});
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close().closeAllConnections());
}

t.test('a page and its WebSocket in Chromium', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  await startApplication(t, upstream);
  const folder = await certificates(t);
  const log = path.join(temporaryFolder(t), 'access.log');
  const pair = { cert: path.join(folder, 'edge.crt'), key: path.join(folder, 'edge.key') };
  const proxy = await startProxy(
    t,
    simple(port, [`127.0.0.1:${upstream}`], {
      accessLog: { requests: 'all', file: log },
      listeners: { web: { address: `127.0.0.1:${port}`, tls: { certificates: [pair] } } },
    }),
  );
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--ignore-certificate-errors', '--no-sandbox', '--disable-gpu'],
  });
  t.teardown(() => browser.close());
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  await page.goto(`https://localhost:${port}/`);
  t.equal(await page.title(), 'here');
  t.equal(
    await page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol"),
    'h2',
    'the browser agreed to HTTP/2',
  );
  const heard = await page.evaluate(`new Promise((resolve, reject) => {
    const socket = new WebSocket('wss://localhost:${port}/chat');
    const heard = [];
    socket.onopen = () => socket.send('one');
    socket.onerror = () => reject(new Error('the WebSocket failed'));
    socket.onmessage = ({ data }) => {
      heard.push(data);
      if (heard.length === 2) socket.close();
      else socket.send('two');
    };
    socket.onclose = () => resolve(heard);
  })`);
  t.same(heard, ['ONE', 'TWO']);
  await browser.close();
  await proxy.close();
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  const chat = lines.map((line) => JSON.parse(line)).find((line) => line.path === '/chat');
  t.match(chat, { status: 200, flags: ['tls', 'h2', 'upgrade'] }, 'by a stream of the same connection');
});
