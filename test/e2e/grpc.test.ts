// gRPC: its interop client against its interop server, and @grpc/grpc-js both as client and server, through a proxy.

import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import grpc from '@grpc/grpc-js';
import t, { type Test } from 'tap';
import type { ProxyConfig } from '../../src/index.js';
import { freePorts } from '../ports.js';
import { type Ended, start } from '../process.js';
import { program } from '../programs.js';
import { simple, startProxy } from './rig.js';
import { filler } from './two.js';

/** The ORCA cases look at reports by way of this balancer of the client. */
const BALANCER = JSON.stringify({ loadBalancingConfig: [{ test_backend_metrics_load_balancer: {} }] });

/**
 * Every case of the interop client that needs no credentials of a cloud; but for pick_first_unary, which this server,
 * asked directly, fails as well: it never says its ID.
 */
const CASES = [
  'empty_unary',
  'large_unary',
  'client_streaming',
  'server_streaming',
  'ping_pong',
  'empty_stream',
  'timeout_on_sleeping_server',
  'cancel_after_begin',
  'cancel_after_first_response',
  'status_code_and_message',
  'special_status_message',
  'custom_metadata',
  'unimplemented_method',
  'unimplemented_service',
  'rpc_soak',
  'channel_soak',
  'orca_per_rpc',
  'orca_oob',
];

function config(port: number, upstream: number): ProxyConfig {
  const api = { endpoints: [`127.0.0.1:${upstream}`], protocol: 'grpc' } as const;
  const services = { api: { ...api, endpoints: [...api.endpoints] } };
  return simple(port, [], { workers: 2, services });
}

t.test('interop', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  start(t, [program('grpcInteropServer'), '-port', String(upstream)]);
  await startProxy(t, config(port, upstream));
  const run = (name: string, to: number): Promise<Ended> => {
    const flags = ['-server_host', '127.0.0.1', '-server_port', String(to), '-test_case', name];
    if (name.startsWith('orca')) flags.push('-service_config_json', BALANCER);
    return start(t, [program('grpcInteropClient'), ...flags]).ended;
  };
  for (let tried = 0; (await run('empty_unary', upstream)).status !== 0; tried += 1) {
    if (tried === 20) throw new Error('the interop server does not come up');
    await pause(100);
  }
  const left = [...CASES];
  const worker = async (): Promise<void> => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      const { status, stderr } = await run(name, port);
      t.equal(status, 0, `${name}: ${stderr.slice(-300)}`);
    }
  };
  await Promise.all([worker(), worker(), worker()]);
});

const same = (bytes: Buffer): Buffer => bytes;
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});

const ECHO = {
  unary: method('Unary', false, false),
  gather: method('Gather', true, false),
  scatter: method('Scatter', false, true),
  chat: method('Chat', true, true),
  fail: method('Fail', false, false),
  sleep: method('Sleep', false, false),
};

type Call = grpc.ServerUnaryCall<Buffer, Buffer>;
type Answer = grpc.sendUnaryData<Buffer>;

/** What the server saw. */
interface Seen {
  cancelled: number;
  /** How long the last sleeper had, in ms. */
  allowed: number;
}

function handlers(seen: Seen): grpc.UntypedServiceImplementation {
  return {
    unary: (call: Call, answer: Answer) => {
      const last = new grpc.Metadata();
      last.set('x-last', 'trailer');
      last.set('x-last-bin', Buffer.from([0, 1, 254, 255]));
      const first = new grpc.Metadata();
      first.set('x-first', String(call.metadata.get('x-sent')[0]));
      first.set('x-first-bin', call.metadata.get('x-sent-bin')[0] ?? Buffer.alloc(0));
      call.sendMetadata(first);
      answer(null, call.request, last);
    },
    gather: (call: grpc.ServerReadableStream<Buffer, Buffer>, answer: Answer) => {
      const parts: Buffer[] = [];
      call.on('data', (part: Buffer) => parts.push(part));
      call.on('end', () => answer(null, Buffer.concat(parts)));
    },
    scatter: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      for (let at = 0; at < call.request.length; at += 1000) call.write(call.request.subarray(at, at + 1000));
      call.end();
    },
    chat: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', (part: Buffer) => call.write(part)).on('end', () => call.end());
      call.on('cancelled', () => {
        seen.cancelled += 1;
      });
    },
    fail: (call: Call, answer: Answer) => {
      const [code = 0, details = ''] = call.request.toString().split('|');
      answer({ code: Number(code), details });
    },
    sleep: (call: Call) => {
      seen.allowed = Number(call.getDeadline()) - Date.now();
      call.on('cancelled', () => {
        seen.cancelled += 1;
      });
    },
  };
}

type Echo = grpc.Client &
  Record<string, (...args: unknown[]) => grpc.ClientUnaryCall & grpc.ClientDuplexStream<Buffer, Buffer>>;

/** A client on this port; it ends with the test. */
function connect(t: Test, port: number, more: grpc.ServiceDefinition = ECHO): Echo {
  const Client = grpc.makeClientConstructor(more, 'test.Echo');
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  t.teardown(() => client.close());
  return client as unknown as Echo;
}

/** What to call with. */
interface Question {
  readonly request?: Buffer;
  readonly metadata?: grpc.Metadata;
  readonly options?: grpc.CallOptions;
}

/** Calls with one answer; resolves with it or with what went wrong. */
function ask(
  client: Echo,
  name: string,
  { request = Buffer.alloc(0), metadata = new grpc.Metadata(), options = {} }: Question = {},
): Promise<{ body?: Buffer; first?: grpc.Metadata; status: grpc.StatusObject }> {
  return new Promise((resolve) => {
    let body: Buffer | undefined;
    let first: grpc.Metadata | undefined;
    const call = client[name]?.(request, metadata, options, (_: unknown, found?: Buffer) => {
      body = found;
    });
    call?.on('metadata', (found: grpc.Metadata) => {
      first = found;
    });
    call?.on('status', (status: grpc.StatusObject) =>
      setImmediate(() => resolve({ ...(body && { body }), ...(first && { first }), status })),
    );
  });
}

async function rig(t: Test) {
  const [port = 0, upstream = 0] = await freePorts(2);
  const seen: Seen = { cancelled: 0, allowed: 0 };
  const server = new grpc.Server();
  server.addService(ECHO, handlers(seen));
  t.teardown(() => server.forceShutdown());
  const credentials = grpc.ServerCredentials.createInsecure();
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${upstream}`, credentials, (cause) =>
      cause === null ? resolve() : reject(cause),
    );
  });
  return { port, upstream, seen };
}

t.test('grpc-js: calls, streams, metadata', async (t) => {
  const { port, upstream } = await rig(t);
  await startProxy(t, config(port, upstream));
  const client = connect(t, port);
  const metadata = new grpc.Metadata();
  metadata.set('x-sent', 'a b;c');
  metadata.set('x-sent-bin', Buffer.from([255, 0, 10, 13]));
  for (const size of [0, 1, 65_536, 1_048_576]) {
    const request = filler(size);
    const { body, first, status } = await ask(client, 'unary', { request, metadata });
    t.equal(status.code, grpc.status.OK, `${size} bytes: ${status.details}`);
    t.ok(body?.equals(request), `${size} bytes come back`);
    t.same(first?.get('x-first'), ['a b;c']);
    t.same(first?.get('x-first-bin'), [Buffer.from([255, 0, 10, 13])]);
    t.same(status.metadata.get('x-last'), ['trailer']);
    t.same(status.metadata.get('x-last-bin'), [Buffer.from([0, 1, 254, 255])]);
  }
  const request = filler(300_000);
  const scattered = client.scatter?.(request);
  const parts: Buffer[] = [];
  for await (const part of scattered ?? []) parts.push(part as Buffer);
  t.ok(Buffer.concat(parts).equals(request), 'a stream of answers');
  const gathered = await new Promise<Buffer | undefined>((resolve) => {
    const call = client.gather?.((_: unknown, found?: Buffer) => resolve(found));
    for (let at = 0; at < request.length; at += 1000) call?.write(request.subarray(at, at + 1000));
    call?.end();
  });
  t.ok(gathered?.equals(request), 'a stream of requests');
  const chat = client.chat?.();
  for (let turn = 0; turn < 20; turn += 1) {
    chat?.write(Buffer.from(`turn ${turn}`));
    const [heard] = chat === undefined ? [] : ((await once(chat, 'data')) as [Buffer]);
    t.equal(heard?.toString(), `turn ${turn}`);
  }
  chat?.end();
  chat?.resume();
  const [ended] = chat === undefined ? [] : ((await once(chat, 'status')) as [grpc.StatusObject]);
  t.equal(ended?.code, grpc.status.OK, 'a conversation ends well');
});

t.test('grpc-js: statuses, deadlines, cancellation', async (t) => {
  const { port, upstream, seen } = await rig(t);
  await startProxy(t, config(port, upstream));
  const client = connect(t, port);
  for (let code = 1; code <= 16; code += 1) {
    const { status } = await ask(client, 'fail', { request: Buffer.from(`${code}|why: ü %`) });
    t.match(status, { code, details: 'why: ü %' });
  }
  const began = Date.now();
  const { status } = await ask(client, 'sleep', { options: { deadline: began + 400 } });
  t.equal(status.code, grpc.status.DEADLINE_EXCEEDED);
  t.ok(Date.now() - began < 1500, `${Date.now() - began} ms`);
  t.ok(seen.allowed > 50 && seen.allowed <= 400, `the server knew of ${seen.allowed} ms`);
  const cancelled = async (count: number): Promise<void> => {
    while (seen.cancelled < count) await pause(5);
  };
  await cancelled(1);
  const chat = client.chat?.();
  chat?.on('error', () => {}).write(Buffer.from('x'));
  if (chat !== undefined) await once(chat, 'data');
  chat?.cancel();
  await cancelled(2);
  t.pass('a cancelled stream is cancelled at the server');
});

t.test('grpc-js: refusals of the proxy are statuses', async (t) => {
  const { port, upstream } = await rig(t);
  const [nobody = 0] = await freePorts(1);
  const api = { endpoints: [`127.0.0.1:${upstream}`], protocol: 'grpc' as const };
  const gone = { endpoints: [`127.0.0.1:${nobody}`], protocol: 'grpc' as const };
  await startProxy(t, {
    ...simple(port, []),
    services: { api, gone },
    routes: [
      {
        name: 'all',
        rules: [
          { matches: [{ path: { exact: '/test.Echo/Gone' } }], backends: [{ service: 'gone' }] },
          {
            matches: [{ path: { exact: '/test.Echo/Sleep' } }],
            timeouts: { request: '200ms' },
            backends: [{ service: 'api' }],
          },
          { matches: [{ path: { exact: '/test.Echo/Denied' } }], backends: [{ service: 'api' }] },
          { matches: [{ path: { exact: '/test.Echo/Unary' } }], backends: [{ service: 'api' }] },
        ],
      },
    ],
    authorization: [
      {
        name: 'no',
        listeners: ['web'],
        action: 'deny',
        rules: [{ paths: [{ exact: '/test.Echo/Denied' }] }],
      },
    ],
  });
  const client = connect(t, port, {
    ...ECHO,
    gone: method('Gone', false, false),
    denied: method('Denied', false, false),
    lost: method('Lost', false, false),
  });
  for (const [name, code] of [
    ['unary', grpc.status.OK],
    ['gone', grpc.status.UNAVAILABLE],
    ['denied', grpc.status.PERMISSION_DENIED],
    ['lost', grpc.status.UNIMPLEMENTED],
    ['sleep', grpc.status.DEADLINE_EXCEEDED],
  ] as const) {
    const { status } = await ask(client, name);
    t.equal(status.code, code, `${name}: ${status.details}`);
  }
});
