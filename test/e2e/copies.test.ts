// What a mirror's copies carry: bodies of every framing from either version of HTTP to either, with their trailers, and
// nothing that a copy has no use for. One proxy, one worker.

import t from 'tap';
import type { ProxyConfig } from '../../src/index.js';
import { freePorts } from '../ports.js';
import { Admin, Endpoint, until } from './endpoint.js';
import type { Rule } from './pair.js';
import { startProxy } from './rig.js';
import { connect, type Question, type Version } from './two.js';

const VERSIONS = [1, 2] as const;
type Upstreams = Readonly<Record<Version, Endpoint>>;

async function upstreams(name: string): Promise<Upstreams> {
  const [one = 0, two = 0] = await freePorts(2);
  return {
    1: await Endpoint.start(t, `${name}-1`, one),
    2: await Endpoint.startTwo(t, `${name}-2`, two),
  };
}

const [port = 0, adminPort = 0] = await freePorts(2);
const [mains, shadows] = [await upstreams('main'), await upstreams('shadow')];
const services: NonNullable<ProxyConfig['services']> = {};
const rules: Rule[] = [];
for (const version of VERSIONS) {
  const protocol = version === 1 ? 'http' : 'http2';
  services[`main-${version}`] = { protocol, endpoints: [mains[version].address] };
  services[`shadow-${version}`] = { protocol, endpoints: [shadows[version].address] };
  for (const shadow of VERSIONS) {
    rules.push({
      matches: [{ path: { prefix: `/${version}/${shadow}` } }],
      filters: [{ mirror: { service: `shadow-${shadow}` } }],
      backends: [{ service: `main-${version}` }],
    });
  }
}
await startProxy(t, {
  workers: 1,
  listeners: {
    web: { address: `127.0.0.1:${port}` },
    admin: { address: `127.0.0.1:${adminPort}`, admin: true },
  },
  services,
  routes: [{ name: 'all', rules }],
});
const admin = new Admin(adminPort);

const body = Buffer.from('a body');
const trailers = { 'x-last': 'seen' };
const chunked = { 'transfer-encoding': 'chunked' };

/** HTTP/1 takes the length. */
const LENGTH_AND_TRAILERS = 'a length and trailers';
const lengthAndTrailers = { method: 'POST', headers: { 'content-length': '6' }, body, trailers };

/** Requests by what is special about them, as a client of this version writes them. */
function questions(version: Version): Record<string, Omit<Question, 'path'>> {
  const unknown = version === 1 ? chunked : {};
  const method = 'POST';
  return {
    'a length': { method, headers: { 'content-length': '6' }, body },
    'no length': { method, headers: unknown, body },
    'no length, and nothing': { method, headers: unknown, body: Buffer.alloc(0) },
    trailers: { method, headers: unknown, body, trailers },
    'trailers alone': { method, headers: unknown, trailers },
    ...(version === 2 && { [LENGTH_AND_TRAILERS]: lengthAndTrailers }),
    expectation: { method, headers: { ...unknown, expect: '100-continue' }, body },
    'expectation with a length': {
      method,
      headers: { 'content-length': '6', expect: '100-continue' },
      body,
    },
  };
}

/** The one copy, unless it was left out. */
async function copyAt(version: Version): Promise<ReturnType<Endpoint['flush']>[number] | undefined> {
  const { seen } = shadows[version];
  const dropped = (): Promise<number> => admin.event(`shadow-${version}`, 'copy_dropped');
  await until(async () => seen.length > 0 || (await dropped()) > left[version], 'a copy, or none');
  left[version] = await dropped();
  const [copy, ...more] = shadows[version].flush();
  if (more.length > 0) throw new Error(`${more.length} more copies`);
  return copy;
}

/** Copies left out so far. */
const left = { 1: 0, 2: 0 };

for (const version of VERSIONS) {
  t.test(`copies of what comes by HTTP/${version}`, async (t) => {
    const client = await connect(t, version, port);
    for (const main of VERSIONS) {
      for (const shadow of VERSIONS) {
        for (const [name, question] of Object.entries(questions(version))) {
          const what = `${name}, to ${main}, copied to ${shadow}`;
          // One of HTTP/1 may have answered before the trailers that it does not get.
          if (name === LENGTH_AND_TRAILERS && main === 1) continue;
          const { status } = await client.ask({ ...question, path: `/${main}/${shadow}` });
          t.equal(status, 200, what);
          const [original] = mains[main].flush();
          const copy = await copyAt(shadow);
          const sent = String(question.body ?? '');
          t.same([original?.body, copy?.body], [sent, sent], what);
          const length = question.headers?.['content-length'];
          const last = (to: Version) =>
            length === undefined || to === 2 ? question.trailers?.['x-last'] : undefined;
          t.equal(original?.trailers['x-last'], last(main), `${what}: the original’s trailers`);
          t.equal(copy?.trailers['x-last'], last(shadow), `${what}: the copy’s trailers`);
          t.equal(copy?.headers['content-length'], length, `${what}: the length`);
          t.equal(original?.headers.expect, question.headers?.expect, `${what}: the original waits`);
          t.equal(copy?.headers.expect, undefined, `${what}: the copy does not`);
        }
      }
    }
  });
}

t.test('what is too long to be kept is not copied', async (t) => {
  const client = await connect(t, 2, port);
  await client.ask({ path: '/2/1', method: 'POST', body: Buffer.alloc(100_000) });
  t.equal(await copyAt(1), undefined);
});
