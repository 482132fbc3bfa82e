// Clients that speak HTTP/2, plain and over TLS, and the endpoints they stay with: by ring hash and Maglev, and by a
// cookie, also while an endpoint drains and goes. One proxy in a process of its own, with four workers; clients of every
// kind share its connections, which stay open over all changes.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import type { ProxyConfig } from '../../src/index.js';
import { freePorts } from '../ports.js';
import { Endpoint, Proxied } from './endpoint.js';
import { certificates } from './rig.js';
import { type Question, session, TwoClient, type Version } from './two.js';

type Service = NonNullable<ProxyConfig['services']>[string];
type Balancing = NonNullable<Service['loadBalancing']>;

/** What a key is taken from: how that is written, and a request that shows it, however the rest of it looks. */
const KEYS: Record<
  string,
  { readonly key: Balancing['key']; show(key: string, nth: number): Omit<Question, 'body'> }
> = {
  header: {
    key: { header: 'x-user' },
    show: (key, nth) => ({ path: `/${nth}`, headers: { 'x-user': key } }),
  },
  cookie: {
    key: { cookie: 'user' },
    show: (key, nth) => ({ path: `/${nth}`, headers: { cookie: cookies(`user=${key}`, nth) } }),
  },
  path: {
    key: { path: true },
    show: (key, nth) => ({ path: `/${key}?${nth}`, headers: { 'x-user': String(nth) } }),
  },
};

/** A cookie among others: in one field, or, as HTTP/2 has it, in fields of their own. */
function cookies(pair: string, nth: number): string | string[] {
  const all = [`before=${nth}`, pair, 'after=1'];
  return nth % 2 === 0 ? all : all.join('; ');
}

const VERSIONS = [1, 2] as const;
const POLICIES = ['ring-hash', 'maglev'] as const;
const SET_COOKIE = /^(stay=[0-9a-f]{16}); Path=\/; HttpOnly; SameSite=Lax(; Secure)?; Max-Age=90$/;

const [plain = 0, sealed = 0, admin = 0] = await freePorts(3);
const folder = await certificates(t);

async function endpoints(names: readonly string[], version: Version): Promise<Endpoint[]> {
  const ports = await freePorts(names.length);
  const start = version === 1 ? Endpoint.start : Endpoint.startTwo;
  return Promise.all(names.map((name, index) => start(t, name, ports[index] ?? 0)));
}

const hashed = await endpoints(['a', 'b', 'c', 'd'], 2);
const sticky = { 1: await endpoints(['a', 'b', 'c'], 1), 2: await endpoints(['a', 'b', 'c'], 2) };

/** The configuration, where `stay-N` lists its three endpoints like this. */
function config(list: (all: readonly Endpoint[]) => NonNullable<Service['endpoints']>): ProxyConfig {
  const services: Record<string, Service> = {};
  for (const policy of POLICIES) {
    for (const [name, { key }] of Object.entries(KEYS)) {
      services[`${policy}-${name}`] = {
        protocol: 'http2',
        endpoints: hashed.map(({ address }) => address),
        loadBalancing: { policy, key, slowStart: '0s' },
      };
    }
  }
  for (const version of VERSIONS) {
    services[`stay-${version}`] = {
      protocol: version === 1 ? 'http' : 'http2',
      endpoints: list(sticky[version]),
      loadBalancing: {
        policy: 'round-robin',
        slowStart: '0s',
        affinity: { cookie: 'stay', maxAge: '90s' },
      },
    };
  }
  const rules = Object.keys(services).map((service) => ({
    matches: [{ path: { prefix: `/${service}` } }],
    backends: [{ service }],
  }));
  const pair = { cert: path.join(folder, 'edge.crt'), key: path.join(folder, 'edge.key') };
  return {
    workers: 4,
    listeners: {
      plain: { address: `127.0.0.1:${plain}`, protocol: 'http2' },
      sealed: { address: `127.0.0.1:${sealed}`, protocol: 'http2', tls: { certificates: [pair] } },
      admin: { address: `127.0.0.1:${admin}`, admin: true },
    },
    services,
    routes: [{ name: 'all', rules }],
  };
}

const proxy = await Proxied.start(
  t,
  config((all) => all.map(({ address }) => address)),
  { admin },
);
const ca = readFileSync(path.join(folder, 'ca.crt'));
const clients = [
  new TwoClient(await session(t, plain)),
  new TwoClient(await session(t, plain)),
  new TwoClient(await session(t, sealed, ca)),
];

t.jobs = 2;

t.test('keys', async (t) => {
  const keys = Array.from({ length: 40 }, (_, index) => `key-${index}`);
  for (const policy of POLICIES) {
    for (const [name, { show }] of Object.entries(KEYS)) {
      const places = new Map<string, Set<string>>();
      const ask = async (client: TwoClient, key: string, nth: number): Promise<void> => {
        const question = show(key, nth);
        const { status, body } = await client.ask({
          ...question,
          path: `/${policy}-${name}${question.path}`,
        });
        const place = status === 200 ? body.toString() : String(status);
        places.set(key, (places.get(key) ?? new Set()).add(place));
      };
      // All at once: two streams for each key, on each connection.
      const each = (nth: number): Promise<void>[] =>
        clients.flatMap((client, index) => keys.map((key) => ask(client, key, nth + 2 * index)));
      await Promise.all([...each(0), ...each(1)]);
      const split = [...places].filter(([, found]) => found.size !== 1);
      t.same(split, [], `${policy} by ${name}: a key has one endpoint`);
      const used = new Set([...places.values()].flatMap((found) => [...found]));
      t.ok(used.size >= 3, `${policy} by ${name}: different keys, different endpoints: ${[...used]}`);
    }
  }
});

/** One that keeps its cookie, and comes by any connection. */
class Visitor {
  /** Every cookie that was set. */
  readonly set: string[] = [];
  /** What answered, each once. */
  readonly places = new Set<string>();
  readonly #service: string;
  #nth: number;

  constructor(version: Version, nth: number) {
    this.#service = `stay-${version}`;
    this.#nth = nth;
  }

  /** One request. */
  async ask(): Promise<void> {
    this.#nth += 1;
    const nth = this.#nth;
    const cookie = cookies(this.set.at(-1) ?? 'other=1', nth);
    const client = clients[nth % clients.length];
    const told = await client?.ask({ path: `/${this.#service}/${nth}`, headers: { cookie } });
    this.places.add(told?.status === 200 ? told.body.toString() : `${told?.status}`);
    for (const line of (told?.headers['set-cookie'] ?? []) as string[]) {
      const [, pair = line, secure] = SET_COOKIE.exec(line) ?? [];
      if ((secure !== undefined) !== (client === clients.at(-1))) throw new Error(`Secure: ${line}`);
      this.set.push(pair);
    }
  }

  /** Several at once. */
  async many(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.ask()));
  }
}

const one = (found: Iterable<string>): string => [...found].join(' and ');

/** So many come for the first time, one after the other, and then more often. */
async function welcome(version: Version, count: number): Promise<Visitor[]> {
  const visitors = Array.from({ length: count }, (_, index) => new Visitor(version, index));
  for (const visitor of visitors) await visitor.ask();
  await Promise.all(visitors.map((visitor) => visitor.many(6)));
  return visitors;
}

t.test('a cookie', async (t) => {
  const visitors = { 1: await welcome(1, 12), 2: await welcome(2, 12) };
  const all = [...visitors[1], ...visitors[2]];
  const once = (why: string): void => {
    t.same(
      all.map(({ set, places }) => ({ cookies: set.length, places: places.size })),
      all.map(() => ({ cookies: 1, places: 1 })),
      `one cookie, one endpoint: ${why}`,
    );
  };
  once('at first');
  for (const version of VERSIONS) {
    const values = new Map(visitors[version].map(({ set, places }) => [one(places), set[0]]));
    t.same([...values.keys()].sort(), ['a', 'b', 'c'], 'all have some');
    for (const { set, places } of visitors[version]) t.equal(set[0], values.get(one(places)));
    t.equal(new Set(values.values()).size, 3, 'an endpoint has a value of its own');
  }

  // They come all the time while `b` begins to drain and the others change places.
  let over = false;
  const coming = Promise.all(
    all.map(async (visitor) => {
      while (!over) {
        await visitor.ask();
        await pause(10);
      }
    }),
  );
  await proxy.reload(
    config(([a, b, c]) => [
      { address: c?.address ?? '' },
      { address: b?.address ?? '', weight: 0 },
      { address: a?.address ?? '' },
    ]),
  );
  over = true;
  await coming;
  await Promise.all(all.map((visitor) => visitor.many(6)));
  once('while one drains');
  for (const version of VERSIONS) {
    const [, b] = sticky[version];
    if (b === undefined) throw new Error('endpoints');
    t.equal((await proxy.standing(`stay-${version}`, b)).state, 'draining');
    const places = (await welcome(version, 12)).map((visitor) => one(visitor.places));
    t.same([...new Set(places)].sort(), ['a', 'c'], 'nobody new comes to where it drains');
  }

  await proxy.reload(config(([a, , c]) => [{ address: a?.address ?? '' }, { address: c?.address ?? '' }]));
  const goesOn = async (visitor: Visitor): Promise<void> => {
    const before = one(visitor.places);
    const had = visitor.set.length;
    visitor.places.clear();
    await visitor.ask();
    await visitor.many(6);
    const after = one(visitor.places);
    if (before === 'b') t.match(after, /^[ac]$/, 'it goes to one of the others');
    else t.equal(after, before, 'it stays');
    t.equal(visitor.set.length - had, before === 'b' ? 1 : 0, 'with one more cookie, if it had to go');
  };
  await Promise.all(all.map(goesOn));
  t.ok(
    clients.every(({ session }) => !session.closed && !session.destroyed),
    'connections stay open over all that',
  );
});
