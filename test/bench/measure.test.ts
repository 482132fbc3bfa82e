import { readFileSync } from 'node:fs';
import { constants, createServer } from 'node:http2';
import t from 'tap';
import { headerProblems } from '../../bench/measure/check.js';
import { cpuMicroseconds, parseBusyTicks, parseSchedstat } from '../../bench/measure/cpu.js';
import { parseGhz } from '../../bench/measure/ghz.js';
import { METHODS, messageFrame } from '../../bench/measure/grpc.js';
import { parseH2load } from '../../bench/measure/h2load.js';
import { exchange, Http2Lane } from '../../bench/measure/http2.js';
import { inFlight } from '../../bench/measure/load.js';
import { memoryOf, parseRollup } from '../../bench/measure/memory.js';
import { parseCalls } from '../../bench/measure/strace.js';
import { descendants, identityOf, isAlive, parseStat, treeOf } from '../../bench/measure/tree.js';
import { problemOf, tooFew } from '../../bench/measure/window.js';
import { parseWrk } from '../../bench/measure/wrk.js';
import { parseOptions, SCENARIOS, UsageError } from '../../bench/options.js';
import { parseCpuList } from '../../bench/rig/machine.js';
import { Ports } from '../../bench/rig/ports.js';
import { parseListening } from '../../bench/rig/sockets.js';
import { parseStubStatus } from '../../bench/rig/upstream.js';
import { LOADS, loadOf, SHORT } from '../../bench/scenario/loads.js';
import { placeOf } from '../../bench/scenario/routes.js';
import { freePort } from '../ports.js';

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

t.test('h2load', async (t) => {
  const summary = (counts: string, codes: string) => `starting benchmark...
Main benchmark duration is over for thread #0. Stopping all clients.
finished in 600.92ms, 185440.00 req/s, 11.85MB/s
requests: ${counts}
status codes: ${codes}
traffic: 7.11MB (7454976) total, 217.36KB (222576) headers (space savings 94.74%), 3.93MB (4116768) data
`;
  const good = summary(
    '111264 total, 111296 started, 111264 done, 111264 succeeded, 0 failed, 0 errored, 0 timeout',
    '111264 2xx, 0 3xx, 0 4xx, 0 5xx',
  );
  t.same(parseH2load(good), { requests: 111_264, socketErrors: 0, badStatus: 0 });
  const refused = summary(
    '40 total, 40 started, 40 done, 30 succeeded, 10 failed, 4 errored, 1 timeout',
    '30 2xx, 0 3xx, 1 4xx, 4 5xx',
  );
  t.same(parseH2load(refused), { requests: 40, socketErrors: 5, badStatus: 5 });
  const reset = summary(
    '40 total, 40 started, 40 done, 30 succeeded, 10 failed, 0 errored, 0 timeout',
    '30 2xx, 0 3xx, 0 4xx, 2 5xx',
  );
  t.equal(parseH2load(reset).socketErrors, 8, 'what failed without a status failed on the way');
  t.throws(() => parseH2load('Some requests were not processed.\n'), /not processed/);
});

t.test('ghz', async (t) => {
  const job = { connections: 4, messages: 100 };
  const report = (statusCodeDistribution: Record<string, number>) =>
    parseGhz(JSON.stringify({ count: 9, statusCodeDistribution }), job);
  t.same(report({ OK: 5418 }), { requests: 541_800, socketErrors: 0, badStatus: 0 });
  const cut = report({ OK: 7, Canceled: 3, Unavailable: 1 });
  t.same(cut, { requests: 700, socketErrors: 0, badStatus: 0 }, 'a call per connection is cut at the end');
  t.equal(report({ OK: 7, Canceled: 3, Unavailable: 2 }).socketErrors, 1);
  t.equal(report({ OK: 7, Unimplemented: 2, Internal: 1 }).badStatus, 3);
  t.throws(() => parseGhz('{}', job), /no call/);
});

t.test('the message of a call is 32 bytes behind its head', async (t) => {
  const frame = messageFrame();
  t.equal(frame.length, 37);
  t.same([...frame.subarray(0, 8)], [0, 0, 0, 0, 32, 0x0a, 30, 0x78]);
});

t.test('requests under way', async (t) => {
  const load = { path: '/', connections: 4, warmUp: 0, duration: 1 };
  t.equal(inFlight(load), 4);
  t.equal(inFlight({ ...load, streams: 8 }), 32);
  t.equal(inFlight({ ...load, messages: 100 }), 400);
  t.equal(inFlight({ ...load, probes: 3 }), 7, 'what the peer asks by itself');
});

t.test('what the upstream has to see of a request, by shape', async (t) => {
  const plan = { launches: [], front: 1, secure: false, inner: undefined };
  const seen = ['127.0.0.1', 'http', '0123456789abcdef', ''];
  t.same(headerProblems({ plan, shape: 'h2' }, seen), []);
  t.same(headerProblems({ plan: { ...plan, secure: true }, shape: 'tls-h2' }, seen), ['x-forwarded-proto']);
  t.same(headerProblems({ plan: { ...plan, inner: 2 }, shape: 'pair-h2' }, seen), [
    'x-forwarded-client-cert',
  ]);
  t.same(headerProblems({ plan, shape: 'http' }, ['somebody', '', '1']), [
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-request-id',
  ]);
  t.same(headerProblems({ plan, shape: 'tcp' }, ['', '', '', '']), []);
  t.same(headerProblems({ plan, shape: 'tcp' }, seen).length, 3, 'forwarded bytes are not requests');
});

t.test('the table of loads', async (t) => {
  const run = { folder: t.testdir(), warmUp: 0.3, duration: 2 };
  for (const [name, plan] of LOADS) {
    const load = loadOf(plan, run);
    const isH2 = plan.shape.startsWith('h2') || plan.shape === 'tls-h2';
    t.equal(load.program === undefined, !isH2, `${name}: wrk does not speak HTTP/2`);
    t.equal(load.duration, plan.isShort ? 2 * SHORT : 2, name);
    t.ok(load.warmUp > 0 && load.warmUp <= 1, name);
  }
  const plan = LOADS.get('grpc-4x8');
  if (plan === undefined) throw new Error('grpc-4x8 is gone');
  const { body = '', connections, streams } = loadOf(plan, run);
  t.same([connections, streams], [4, 8]);
  t.same(readFileSync(body), messageFrame());
  const throughput = SCENARIOS.filter((name) => /^(h1|h2|tls|grpc|tcp|sni|mtls)-/.test(name));
  t.same([...LOADS.keys()], throughput, 'each scenario has a load, in running order');
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
  t.match(tooFew(3), /only 3 requests/);
  t.equal(tooFew(1000), undefined);
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
  t.same(options('--only', 'h1-1k,tcp').scenarios, [
    'h1-1k-32',
    'h1-1k-256',
    'tcp-1k-32',
    'tcp-16k-32',
    'tcp-connect-32',
  ]);
  const quick = options('--quick').scenarios;
  t.ok(quick.includes('grpc-4x8') && !quick.includes('grpc-32x1'));
  t.ok(options('--quick', '--only', 'grpc').scenarios.includes('grpc-32x1'), 'asked for by name');
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
    ['--only', 'h3'],
    ['--only', ''],
    ['--peers', 'caddy'],
    ['--frobnicate'],
    ['stray'],
  ];
  for (const args of wrong) t.throws(() => parseOptions(args), UsageError, args.join(' '));
});

t.test('single requests over HTTP/2', async (t) => {
  const server = createServer();
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {}); // the reset below is the client's to report
    if (headers[':path'] === '/reset') return stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.pipe(stream);
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const body = messageFrame();
  const call = { ':method': 'POST', ':path': METHODS.unary };
  t.same(await exchange({ port, ca: undefined, headers: call, body }), {
    status: 200,
    body: body.toString('latin1'),
    grpcStatus: '0',
  });
  await t.rejects(exchange({ port, ca: undefined, headers: { ':path': '/reset' } }), /reset|INTERNAL/);
  const lane = await Http2Lane.open({ port, path: '/', from: '127.0.0.3' });
  await lane.request();
  t.ok(lane.isOpen);
  lane.close();
  t.notOk(lane.isOpen);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  await t.rejects(exchange({ port, ca: undefined, headers: { ':path': '/' } }), /ECONNREFUSED/);
});
