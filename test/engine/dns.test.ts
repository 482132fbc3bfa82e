import t from 'tap';
import {
  createDnsWatch,
  type DnsAnswer,
  RETRY_CEILING_MS,
  type ResolvedNames,
  TTL_CEILING_MS,
  TTL_FLOOR_MS,
  toRefreshMs,
  toRetryMs,
} from '../../src/engine/dns.js';
import { createLookup, isInHosts, type LookupSources } from '../../src/engine/dns-lookup.js';

/** A watch over a table of answers and a clock that only moves when told to. */
function setUp(table: Record<string, DnsAnswer | Error>) {
  const timers = new Map<() => void, number>();
  const changes: ResolvedNames[] = [];
  const failures: string[] = [];
  const asked: string[] = [];
  let now = 0;
  const watch = createDnsWatch({
    lookup: async (name) => {
      asked.push(name);
      const answer = table[name];
      if (answer === undefined) throw new Error(`no such name: ${name}`);
      if (answer instanceof Error) throw answer;
      return answer;
    },
    later: (run, ms) => {
      timers.set(run, now + ms);
      return () => timers.delete(run);
    },
    random: () => 0,
    onChange: (resolved) => changes.push(resolved),
    onFailure: (name) => failures.push(name),
  });
  const pass = async (ms: number): Promise<void> => {
    const until = now + ms;
    for (;;) {
      const due = [...timers].filter(([, at]) => at <= until).sort(([, a], [, b]) => a - b)[0];
      if (due === undefined) break;
      timers.delete(due[0]);
      now = due[1];
      due[0]();
      await new Promise(setImmediate);
    }
    now = until;
  };
  return { watch, changes, failures, asked, timers, pass };
}

t.test('names are looked up again when their answer expires, and only a new set is a change', async (t) => {
  const table: Record<string, DnsAnswer> = { api: { addresses: ['10.0.0.2', '10.0.0.1'], ttlMs: 5_000 } };
  const { watch, changes, asked, pass } = setUp(table);
  await watch.watch([
    { name: 'api', port: 80 },
    { name: 'api', port: 443 },
  ]);
  const first = { 'api:80': ['10.0.0.1:80', '10.0.0.2:80'], 'api:443': ['10.0.0.1:443', '10.0.0.2:443'] };
  t.same(changes, [first]);
  t.same(watch.current(), first);

  await pass(4_999);
  t.equal(asked.length, 1, 'not before the TTL');
  table.api = { addresses: ['10.0.0.1', '10.0.0.2'], ttlMs: 5_000 };
  await pass(1);
  t.equal(asked.length, 2, 'at the TTL');
  t.equal(changes.length, 1, 'another order is no change');
  table.api = { addresses: ['10.0.0.3', '::1'], ttlMs: 5_000 };
  await pass(5_000);
  t.same(changes[1]?.['api:80'], ['10.0.0.3:80', '[::1]:80'], 'IPv6 stands in brackets');
  watch.stop();
  await pass(100_000);
  t.equal(asked.length, 3, 'nothing is asked after stop');
});

t.test(
  'a failed look-up keeps the last good addresses and is tried again, less and less often',
  async (t) => {
    const table: Record<string, DnsAnswer | Error> = { api: { addresses: ['10.0.0.1'], ttlMs: 1_000 } };
    const { watch, changes, failures, asked, pass } = setUp(table);
    await watch.watch([{ name: 'api', port: 80 }]);
    table.api = new Error('SERVFAIL');
    await pass(1_000);
    t.same(failures, ['api']);
    t.same(watch.current(), { 'api:80': ['10.0.0.1:80'] });
    await pass(120_000);
    t.ok(asked.length >= 8 && asked.length <= 16, `${asked.length} look-ups in two minutes of failure`);
    t.equal(changes.length, 1);
    table.api = { addresses: [], ttlMs: 1_000 };
    await pass(RETRY_CEILING_MS);
    t.same(watch.current(), { 'api:80': ['10.0.0.1:80'] }, 'an empty answer counts as a failure');
    table.api = { addresses: ['10.0.0.9'], ttlMs: 1_000 };
    await pass(RETRY_CEILING_MS);
    t.same(watch.current(), { 'api:80': ['10.0.0.9:80'] });
  },
);

t.test('watch resolves even when a name cannot be looked up, and leaves it out', async (t) => {
  const { watch, failures } = setUp({ good: { addresses: ['10.0.0.1'], ttlMs: 1_000 } });
  await watch.watch([
    { name: 'good', port: 1 },
    { name: 'bad', port: 2 },
  ]);
  t.same(watch.current(), { 'good:1': ['10.0.0.1:1'] });
  t.same(failures, ['bad']);
});

t.test('names that are no longer used are forgotten, those that stay are not asked again', async (t) => {
  const answer = { addresses: ['10.0.0.1'], ttlMs: 60_000 };
  const { watch, asked, timers } = setUp({ a: answer, b: answer });
  await watch.watch([
    { name: 'a', port: 1 },
    { name: 'b', port: 1 },
  ]);
  await watch.watch([{ name: 'b', port: 2 }]);
  t.same(watch.current(), { 'b:2': ['10.0.0.1:2'] });
  t.same(asked, ['a', 'b']);
  t.equal(timers.size, 1);
});

t.test('an answer that comes after its name was dropped changes nothing', async (t) => {
  let answer: (found: DnsAnswer) => void = () => {};
  const changes: ResolvedNames[] = [];
  let timers = 0;
  const watch = createDnsWatch({
    lookup: () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
    later: () => {
      timers += 1;
      return () => {};
    },
    random: () => 0,
    onChange: (resolved) => changes.push(resolved),
    onFailure: () => t.fail('nothing failed'),
  });
  const first = watch.watch([{ name: 'a', port: 1 }]);
  watch.stop();
  answer({ addresses: ['10.0.0.1'], ttlMs: 1 });
  await first;
  t.same(changes, []);
  t.equal(timers, 0);
});

t.test('waiting times stay within their bounds', async (t) => {
  for (const ttl of [0, 1, 999, 1_000, 30_000, 299_999, 300_000, 2 ** 31]) {
    for (const random of [0, 0.5, 0.999]) {
      const ms = toRefreshMs(ttl, random);
      t.ok(ms >= TTL_FLOOR_MS && ms <= TTL_CEILING_MS, `ttl ${ttl}, ${random}: ${ms}`);
    }
  }
  t.equal(toRefreshMs(30_000, 0), 30_000);
  t.equal(toRefreshMs(30_000, 0.5), 31_500);
  t.same(
    [0, 1, 2, 3, 4, 5, 6, 1_000].map((failures) => toRetryMs(failures, 1)),
    [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000],
  );
  t.equal(toRetryMs(0, 0), 500);
});

const HOSTS = `127.0.0.1 localhost
10.1.1.1\tdb.internal  db # the database
# 10.1.1.2 commented
`;

t.test('isInHosts', async (t) => {
  for (const name of ['localhost', 'LOCALHOST', 'localhost.', 'db', 'db.internal'])
    t.ok(isInHosts(HOSTS, name), name);
  for (const name of ['commented', 'the', '10.1.1.1', 'local', '']) t.notOk(isInHosts(HOSTS, name), name);
});

t.test('where a name is looked up', async (t) => {
  const none = async (): Promise<never> => {
    throw new Error('ENOTFOUND');
  };
  const sources = (given: Partial<LookupSources>): LookupSources => ({
    hosts: async () => HOSTS,
    servers: none,
    system: none,
    ...given,
  });
  const system = async () => [
    { address: '::1', family: 6 },
    { address: '10.9.9.9', family: 4 },
  ];

  t.same(
    await createLookup(sources({ servers: async () => t.fail('not asked') as never, system }))('db'),
    { addresses: ['10.9.9.9'], ttlMs: 30_000 },
    'the hosts file goes first, IPv4 before IPv6',
  );
  t.same(
    await createLookup(
      sources({
        servers: async (_, family) =>
          family === 4
            ? [
                { address: '10.0.0.1', ttl: 60 },
                { address: '10.0.0.2', ttl: 7 },
              ]
            : none(),
      }),
    )('api.example.test'),
    { addresses: ['10.0.0.1', '10.0.0.2'], ttlMs: 7_000 },
    'the shortest TTL counts',
  );
  t.same(
    await createLookup(
      sources({ servers: async (_, family) => (family === 6 ? [{ address: 'fd00::1', ttl: 9 }] : []) }),
    )('v6'),
    { addresses: ['fd00::1'], ttlMs: 9_000 },
    'IPv6 where there is no IPv4',
  );
  t.same(
    await createLookup(sources({ system: async () => [{ address: '::1', family: 6 }] }))('short'),
    { addresses: ['::1'], ttlMs: 30_000 },
    'the system is asked last',
  );
  await t.rejects(createLookup(sources({}))('nowhere'), /ENOTFOUND/);
});
