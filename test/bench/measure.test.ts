import t from 'tap';
import { cpuMicroseconds, parseBusyTicks, parseSchedstat } from '../../bench/measure/cpu.js';
import { memoryOf, parseRollup } from '../../bench/measure/memory.js';
import { parseCalls } from '../../bench/measure/strace.js';
import { descendants, identityOf, isAlive, parseStat, treeOf } from '../../bench/measure/tree.js';
import { problemOf } from '../../bench/measure/window.js';
import { parseWrk } from '../../bench/measure/wrk.js';
import { parseOptions, SCENARIOS, UsageError } from '../../bench/options.js';
import { parseCpuList } from '../../bench/rig/machine.js';
import { Ports } from '../../bench/rig/ports.js';
import { parseListening } from '../../bench/rig/sockets.js';
import { parseStubStatus } from '../../bench/rig/upstream.js';
import { placeOf } from '../../bench/scenario/routes.js';

/** A line of /proc/PID/stat: 52 fields, of which utime, stime and starttime are given. */
function statLine(name: string, figures: { user: number; system: number; start: number }): string {
  const rest = ['S', '7', ...Array.from({ length: 9 }, () => '0'), figures.user, figures.system];
  return `42 (${name}) ${[...rest, ...Array.from({ length: 6 }, () => '0'), figures.start, '1', '2'].join(' ')}\n`;
}

t.test('a stat line, whatever the name of the program', async (t) => {
  for (const name of ['nginx', 'tmux: server', 'a) S 9 (b', '']) {
    const stat = parseStat(statLine(name, { user: 30, system: 12, start: 987654 }));
    t.same(stat, { state: 'S', parent: 7, ticks: 42, startTime: '987654' }, JSON.stringify(name));
  }
  t.equal(parseStat(''), undefined);
  t.equal(parseStat('42 (cut) S 7'), undefined);
});

t.test('this process in the process table', async (t) => {
  const identity = identityOf(process.pid);
  t.ok(identity !== undefined && isAlive(identity));
  t.notOk(
    isAlive({ pid: process.pid, startTime: '1' }),
    'the same id at another start time is somebody else',
  );
  t.ok(treeOf(process.pid).includes(process.pid));
  t.equal(identityOf(2 ** 30), undefined);
});

t.test('descendants', async (t) => {
  const parents = new Map([
    [10, 1],
    [11, 10],
    [12, 11],
    [13, 10],
    [20, 1],
    [21, 20],
  ]);
  t.same(descendants(10, parents).toSorted(), [10, 11, 12, 13]);
  t.same(descendants(20, parents), [20, 21]);
  t.same(descendants(99, parents), []);
});

t.test('CPU time: the fine clock, unless it missed threads that ended', async (t) => {
  t.equal(parseSchedstat('785165 71336 1\n'), 785_165);
  t.throws(() => parseSchedstat(''));
  t.throws(() => parseSchedstat('schedstats are off'));
  const reading = (nanoseconds: number, ticks: number) => ({ nanoseconds, ticks });
  t.equal(cpuMicroseconds(reading(1e9, 100), reading(3e9, 300)), 2e6);
  t.equal(cpuMicroseconds(reading(1e9, 100), reading(1.005e9, 101)), 5000, 'a tick is coarse');
  t.equal(
    cpuMicroseconds(reading(1e9, 100), reading(1.5e9, 300)),
    2e6,
    'ended threads took their nanoseconds along',
  );
});

t.test('time that the processors were not idle', async (t) => {
  t.equal(parseBusyTicks('cpu  1 2 4 800 900 8 16 32 0 0\ncpu0 7 7 7 7 7 7 7 7 0 0\n'), 63);
  t.equal(parseBusyTicks(''), 0);
});

t.test('memory', async (t) => {
  const text =
    'Rss:    2048 kB\nPss:    1024 kB\nPss_Anon:  7 kB\nAnonymous:    512 kB\nAnonHugePages: 9 kB\n';
  t.same(parseRollup(text), { rss: 2_097_152, pss: 1_048_576, anonymous: 524_288 });
  t.throws(() => parseRollup('Rss: 1 kB\n'), /no Pss/);
  const once = memoryOf([process.pid]);
  const twice = memoryOf([process.pid, process.pid]);
  t.ok(once.rss > once.anonymous && once.anonymous > 1_000_000);
  t.ok(Math.abs(twice.rss / once.rss - 2) < 0.1, 'memory of several processes adds up');
});

t.test('wrk', async (t) => {
  const text = `Running 2m test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Req/Sec    41.02k     1.20k   43.00k    70.00%
  103001 requests in 2.51s, 120.01MB read
EXTRARequests/sec:  41036.25
`;
  t.same(parseWrk(text.replace('EXTRA', '')), { requests: 103_001, socketErrors: 0, badStatus: 0 });
  const bad = '  Socket errors: connect 1, read 2, write 4, timeout 8\n  Non-2xx or 3xx responses: 16\n';
  t.same(parseWrk(text.replace('EXTRA', bad)), { requests: 103_001, socketErrors: 15, badStatus: 16 });
  t.throws(() => parseWrk('unable to connect to 127.0.0.1:1 Connection refused\n'), /Connection refused/);
});

t.test('what makes a run void', async (t) => {
  const good = { requests: 1000, socketErrors: 0, badStatus: 0 };
  const cases: [Partial<typeof good>, number, RegExp | undefined][] = [
    [{}, 1000, undefined],
    [{}, 1032, undefined],
    [{}, 1033, /33 more requests/],
    [{}, 999, /1 answers did not come/],
    [{ badStatus: 1 }, 1000, /not 2xx/],
    [{ socketErrors: 1 }, 1000, /socket errors/],
  ];
  for (const [report, upstream, expected] of cases) {
    const problem = problemOf({ ...good, ...report }, { upstream, inFlight: 32 });
    if (expected === undefined) t.equal(problem, undefined);
    else t.match(problem, expected);
  }
});

t.test('strace', async (t) => {
  const text = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.600000           6    100000        12 recvfrom
 40.00    0.400000           4    100001           sendto
------ ----------- ----------- --------- --------- ----------------
100.00    1.000000           5    200001        12 total
`;
  t.same(
    [...parseCalls(text)],
    [
      ['recvfrom', 100_000],
      ['sendto', 100_001],
    ],
  );
  t.equal(parseCalls('').size, 0);
});

t.test('listening sockets and the counter of the upstream', async (t) => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100 0 0 10 0
   1: 0100007F:4E20 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0 20 4 30 10 -1
`;
  t.same(parseListening(table), [{ port: 20_000, inode: 12_345 }]);
  t.same(parseListening(''), []);
  const page =
    'Active connections: 3 \nserver accepts handled requests\n 17 17 4711 \nReading: 0 Writing: 1 Waiting: 2 \n';
  t.same(parseStubStatus(page), { accepts: 17, requests: 4711 });
  t.throws(() => parseStubStatus('404'));
});

t.test('ports are below the ephemeral ones and given once', async (t) => {
  const ports = new Ports(12_345);
  const taken = Array.from({ length: 10 }, () => ports.take());
  t.equal(new Set(taken).size, 10);
  t.ok(taken.every((port) => port >= 20_000 && port < 32_768));
});

t.test('processor lists', async (t) => {
  t.same(parseCpuList('0-2,5'), [0, 1, 2, 5]);
  t.same(parseCpuList('3'), [3]);
  t.same(parseCpuList(''), []);
});

t.test('the routing tables name every rule once, exact ones and prefixes on each host', async (t) => {
  for (const count of [10, 1000, 100_000]) {
    const places = Array.from({ length: count }, (_, at) => placeOf(at, count));
    t.equal(new Set(places.map(({ host, path }) => host + path)).size, count);
    t.equal(places.filter(({ kind }) => kind === 'exact').length, count / 2);
  }
});

t.test('the command line', async (t) => {
  const options = (...args: string[]) => {
    const parsed = parseOptions(args);
    if (parsed === 'help') throw new Error('help was not asked for');
    return parsed;
  };
  t.same([options().rounds, options().duration, options().settle], [5, 2, 30]);
  t.same(options().scenarios, SCENARIOS);
  t.notOk(options().peers.includes('tulle-bare'));
  t.same(options('--only', 'h1-1k,mtls').scenarios, ['h1-1k-32', 'h1-1k-256', 'mtls-pair-32']);
  t.same(options('--peers', 'envoy,nginx').peers, ['nginx', 'envoy'], 'in the order of the rig');
  t.same([options('--quick').rounds, options('--quick', '--rounds', '7').rounds], [2, 7]);
  t.same([options('--json').jsonToStdout, options('--json').jsonFile], [true, undefined]);
  t.same([options('--json', '--quick').jsonToStdout, options('--json', '--quick').quick], [true, true]);
  t.same([options('--json', 'x.json').jsonToStdout, options('--json', 'x.json').jsonFile], [false, 'x.json']);
  t.equal(parseOptions(['--help']), 'help');
  const wrong = [
    ['--rounds', '0'],
    ['--rounds', '1.5'],
    ['--rounds', 'many'],
    ['--duration', '0'],
    ['--only', 'h2'],
    ['--only', ''],
    ['--peers', 'caddy'],
    ['--frobnicate'],
    ['stray'],
  ];
  for (const args of wrong) t.throws(() => parseOptions(args), UsageError, args.join(' '));
});
