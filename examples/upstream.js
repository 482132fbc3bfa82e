// A small upstream to try the examples with: `node examples/upstream.js PORT [NAME]`. Answers every request with what
// it got, so that rewrites and header edits can be seen.
import { createServer } from 'node:http';

const port = Number(process.argv[2]);
const name = process.argv[3] ?? `upstream-${port}`;
if (!Number.isInteger(port) || port < 1 || port > 65_535) {
  console.error('usage: node examples/upstream.js PORT [NAME]');
  process.exit(2);
}

const server = createServer((request, response) => {
  if (request.url === '/healthz') {
    response.end('ok\n');
    return;
  }
  const { method, url, headers } = request;
  response.setHeader('content-type', 'application/json');
  response.setHeader('x-upstream', name);
  request.resume();
  request.on('end', () =>
    response.end(`${JSON.stringify({ upstream: name, method, url, headers }, null, 2)}\n`),
  );
});
server.on('error', (cause) => {
  const why = cause.code === 'EADDRINUSE' ? 'another process has the port' : cause.message;
  console.error(`upstream ${name}: 127.0.0.1:${port}: ${why}`);
  process.exit(1);
});
server.listen(port, '127.0.0.1', () => console.log(`${name} listening on 127.0.0.1:${port}`));
// Started by another Node program: end with it.
process.once('disconnect', () => process.exit(0));
