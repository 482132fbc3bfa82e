import { once } from 'node:events';
import { createServer } from 'node:net';
import t from 'tap';
import { freePort, freePorts } from './ports.js';

t.test('ports are free, given once, and below those of outgoing connections', async (t) => {
  const ports = await freePorts(60);
  t.equal(new Set(ports).size, 60);
  t.ok(ports.every((port) => port >= 20_000 && port < 32_768));
  const server = createServer().listen(ports[0], '127.0.0.1');
  await once(server, 'listening');
  server.close();
});

t.test('a port that somebody listens on is passed over', async (t) => {
  const first = await freePort();
  const taken = createServer().listen(first + 1, '127.0.0.1');
  await once(taken, 'listening');
  t.teardown(() => taken.close());
  t.not(await freePort(), first + 1);
});
