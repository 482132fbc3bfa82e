// The upstream: one nginx worker on the load's core with fixed answers, and its request counter, which is how completed
// requests are counted. In: a fleet; out: ports, paths, expected bodies, the counter.

import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { KeyPair } from './certificates.js';
import type { Ports } from './ports.js';
import type { Fleet, Started } from './processes.js';
import { waitForPorts } from './waiting.js';

/** Sizes of the fixed answers: 128 B, 1 KB, 16 KB. */
export const BODY_BYTES = { small: 128, '1k': 1024, '16k': 16_384 } as const;

/** Ports beside the first one. */
const OTHERS = 3;

/** Which fixed answer; its path is `/NAME`. */
export type BodyName = keyof typeof BODY_BYTES;

/** What the upstream has counted so far. */
export interface UpstreamCount {
  /** Requests answered, the one that asked for this count left out. */
  readonly requests: number;
  /** Connections accepted. */
  readonly connections: number;
}

/** A running upstream. */
export interface Upstream {
  readonly port: number;
  /** Ports with the same answers, for a service of several endpoints. */
  readonly others: readonly number[];
  /** The same over TLS 1.3, where it has that. */
  readonly tlsPort: number | undefined;
  pids(): number[];
  /** Requests and connections since it started; questions by `count` itself are left out. */
  count(): Promise<UpstreamCount>;
  close(): void;
}

/** The body that the upstream answers for a name. */
export function bodyOf(name: BodyName): string {
  return 'x'.repeat(BODY_BYTES[name]);
}

/** Where an upstream is started. */
export interface UpstreamPlace {
  readonly folder: string;
  readonly ports: Ports;
  readonly core: number;
  readonly fileLimit: number;
  readonly certificate: KeyPair;
}

/** Starts it and waits until it listens. Above 64 KiB of configuration nginx wants no literal: 16 KB is 16 times 1 KB. */
export async function startUpstream(fleet: Fleet, place: UpstreamPlace): Promise<Upstream> {
  const folder = join(place.folder, 'upstream');
  mkdirSync(folder, { recursive: true });
  const [port, tlsPort, status] = [place.ports.take(), place.ports.take(), place.ports.take()];
  const others = Array.from({ length: OTHERS }, () => place.ports.take());
  const file = join(folder, 'upstream.conf');
  writeFileSync(file, configuration(folder, { ...place, port, others, tlsPort, status }));
  const command = ['nginx', '-e', join(folder, 'error.log'), '-p', folder, '-c', file];
  const started = fleet.start(command, { name: 'upstream', folder, core: place.core });
  await waitForPorts(started, [port, ...others, tlsPort, status], 10);
  const counter = new Counter(status);
  return { port, others, tlsPort, ...counted(started, counter) };
}

/** What an upstream does whose page is read by a counter. */
export function counted(started: Started, counter: Counter): Pick<Upstream, 'pids' | 'count' | 'close'> {
  return { pids: () => started.pids(), count: () => counter.read(), close: () => counter.close() };
}

function configuration(
  folder: string,
  at: {
    port: number;
    others: readonly number[];
    tlsPort: number;
    status: number;
    fileLimit: number;
    certificate: KeyPair;
  },
): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `daemon off;
worker_processes 1;
worker_rlimit_nofile ${at.fileLimit};
pid ${folder}/upstream.pid;
error_log ${folder}/error.log warn;
events { worker_connections ${Math.min(16_000, at.fileLimit)}; }
http {
  access_log off;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  default_type text/plain;
  ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
  server {
    ${[at.port, ...at.others].map((port) => `listen 127.0.0.1:${port} backlog=4096;`).join(' ')}
    listen 127.0.0.1:${at.tlsPort} ssl backlog=4096;
    ssl_certificate ${at.certificate.cert};
    ssl_certificate_key ${at.certificate.key};
    ssl_protocols TLSv1.3;
    set $k "${bodyOf('1k')}";
    location = /small { return 200 "${bodyOf('small')}"; }
    location = /1k { return 200 "${bodyOf('1k')}"; }
    location = /16k { return 200 "${'$k'.repeat(16)}"; }
    location = /echo { return 200 "$http_x_forwarded_for\\n$http_x_forwarded_proto\\n$http_x_request_id\\n$http_x_forwarded_client_cert\\n"; }
    location / { return 200 "${bodyOf('1k')}"; }
  }
  server {
    listen 127.0.0.1:${at.status};
    location / { stub_status; }
  }
}
`;
}

/** Reads nginx's stub_status over one connection of its own, so that only its own requests have to be left out. */
export class Counter {
  readonly #port: number;
  #socket: Socket | undefined;
  #asked = 0;

  constructor(port: number) {
    this.#port = port;
  }

  async read(): Promise<UpstreamCount> {
    this.#socket ??= connect(this.#port, '127.0.0.1').setNoDelay(true);
    const socket = this.#socket;
    this.#asked += 1;
    socket.write('GET / HTTP/1.1\r\nHost: status\r\n\r\n');
    const { accepts, requests } = parseStubStatus(await answerOn(socket));
    return { requests: requests - this.#asked, connections: accepts - 1 };
  }

  close(): void {
    this.#socket?.destroy();
  }
}

function answerOn(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const data = (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!/Waiting: \d+ \n/.test(text)) return;
      finish();
      resolve(text);
    };
    const failed = () => {
      finish();
      reject(new Error('the upstream closed its status connection'));
    };
    const finish = () => socket.off('data', data).off('error', failed).off('close', failed);
    socket.on('data', data).on('error', failed).on('close', failed);
  });
}

/** Accepted connections and requests of a stub_status page. */
export function parseStubStatus(text: string): { accepts: number; requests: number } {
  const found = /^ (\d+) (\d+) (\d+) $/m.exec(text);
  if (found === null) throw new Error('not a stub_status page');
  return { accepts: Number(found[1]), requests: Number(found[3]) };
}
