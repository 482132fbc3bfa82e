// An edge proxy inside a Node program: `node examples/embed.js`, with something listening on 127.0.0.1:19001.
import { createProxy } from 'tulle';

const proxy = createProxy({
  listeners: { web: { address: `127.0.0.1:${process.env.PORT ?? 18080}` } },
  services: { api: { endpoints: [`127.0.0.1:${process.env.UPSTREAM ?? 19001}`] } },
  routes: [{ name: 'everything', rules: [{ backends: [{ service: 'api' }] }] }],
});
await proxy.start();
console.log(`ready ${proxy.addresses[0].url}`);
process.once('SIGINT', () => proxy.close());
