// Asks every started peer for known answers before it is measured: right bodies of every size, the headers that were
// configured, TLS 1.3 with our certificate, and at a pair's inner port a refusal of callers without a certificate.

import { readFileSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { type RequestOptions, request as secureRequest } from 'node:https';
import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { isPair, isRaw, WIRES } from '../peers/peer.js';
import type { Certificates } from '../rig/certificates.js';
import type { Bench, Running } from '../rig/running.js';
import { RigError } from '../rig/tools.js';
import { type BodyName, bodyOf } from '../rig/upstream.js';
import { METHODS, messageFrame } from './grpc.js';
import { exchange } from './http2.js';

/** An answer as a whole. */
interface Answer {
  readonly status: number;
  readonly body: string;
}

/** What TLS was agreed with a peer, for the report; undefined for plain text. */
export type Agreed = string | undefined;

/** Throws {@link RigError} unless the peer behaves as configured; what TLS was agreed. */
export async function checkAnswers(bench: Bench, running: Running): Promise<Agreed> {
  const { plan, label, shape } = running;
  const { certificates } = bench;
  const ask = askerOf(running, certificates);
  for (const name of ['small', '1k', '16k'] satisfies BodyName[]) {
    const answer = await ask(`/${name}`);
    if (answer.status !== 200 || answer.body !== bodyOf(name)) {
      throw new RigError(`${label} answers /${name} with ${answer.status} and ${answer.body.length} bytes`);
    }
  }
  const problems = headerProblems(running, (await ask('/echo')).body.split('\n'));
  if (problems.length > 0) throw new RigError(`${label}: wrong upstream: ${problems.join(', ')}`);
  if (shape === 'h2') await checkCall(running);
  if (shape === 'sni') await refusesOtherNames(running, certificates);
  if (plan.inner !== undefined) await refusesStrangers(label, plan.inner, certificates);
  return plan.secure || plan.inner !== undefined ? await agreedTls(running, certificates) : undefined;
}

/** The header fields, as the upstream saw them, that are not as configured. Forwarded bytes get none. */
export function headerProblems(
  { plan, shape }: Pick<Running, 'plan' | 'shape'>,
  [forwardedFor = '', proto = '', id = '', identity = '']: readonly string[],
): string[] {
  const isOurs = isRaw(shape)
    ? { forwardedFor: forwardedFor === '', proto: proto === '', id: id === '', identity: identity === '' }
    : {
        forwardedFor: namesAddress(forwardedFor),
        proto: plan.inner === undefined ? proto === (plan.secure ? 'https' : 'http') : proto !== '',
        id: id.length >= 16,
        identity: plan.inner === undefined || identity !== '',
      };
  const names = {
    forwardedFor: 'x-forwarded-for',
    proto: 'x-forwarded-proto',
    id: 'x-request-id',
    identity: 'x-forwarded-client-cert',
  } as const;
  return (Object.keys(names) as (keyof typeof names)[])
    .filter((name) => !isOurs[name])
    .map((name) => names[name]);
}

/** Whether the last entry is an address: Envoy writes the machine's own for a client on loopback. */
function namesAddress(forwardedFor: string): boolean {
  return isIP(forwardedFor.split(',').at(-1)?.trim() ?? '') !== 0;
}

/** GETs a path in the protocol that the shape's clients speak. */
function askerOf({ plan, shape }: Running, certificates: Certificates): (path: string) => Promise<Answer> {
  const isH2 = !isPair(shape) && !isRaw(shape) && WIRES[shape].h2In;
  if (!isH2) return (path) => get(plan, path, certificates);
  const at = { port: plan.front, ca: plan.secure ? certificates.ca : undefined };
  return (path) => exchange({ ...at, headers: { ':path': path } });
}

/** A unary call is answered by the message and the status of success. */
async function checkCall({ plan, label }: Running): Promise<void> {
  const headers = {
    ':method': 'POST',
    ':path': METHODS.unary,
    'content-type': 'application/grpc',
    te: 'trailers',
  };
  const body = messageFrame();
  const answer = await exchange({ port: plan.front, ca: undefined, headers, body });
  const isRight = answer.status === 200 && answer.body === body.toString('latin1');
  if (!isRight || answer.grpcStatus !== '0')
    throw new RigError(`${label} answers a call with ${answer.status}, grpc-status ${answer.grpcStatus}`);
}

function get(
  at: { front: number; secure: boolean },
  path: string,
  certificates: Certificates,
): Promise<Answer> {
  const options: RequestOptions = { host: '127.0.0.1', port: at.front, path, agent: false, timeout: 5000 };
  const secure = { ...options, ca: readFileSync(certificates.ca), servername: 'localhost' };
  return new Promise((resolve, reject) => {
    const request = at.secure ? secureRequest(secure) : plainRequest(options);
    request.on('timeout', () => request.destroy(new Error('no answer within 5 s')));
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      );
    });
    request.end();
  });
}

/** A caller without a certificate gets no 200 from the inner port of a pair. */
async function refusesStrangers(label: string, port: number, certificates: Certificates): Promise<void> {
  const answer = await get({ front: port, secure: true }, '/small', certificates).catch(() => undefined);
  if (answer?.status === 200)
    throw new RigError(`${label} serves callers without a certificate on its mutual-TLS port`);
}

/** TLS that asks for a name that is not configured gets no connection to the upstream. */
async function refusesOtherNames({ label, plan }: Running, certificates: Certificates): Promise<void> {
  const other = await handshake(plan.front, certificates, { servername: 'other.example.test' }).catch(
    () => undefined,
  );
  other?.destroy();
  if (other !== undefined) throw new RigError(`${label} passes TLS on whatever name it asks for`);
}

/** Version and cipher that a client of OpenSSL's defaults agrees on. Throws unless it is TLS 1.3. */
async function agreedTls(running: Running, certificates: Certificates): Promise<string> {
  const { inner, front } = running.plan;
  const { shape } = running;
  const protocol = shape === 'tls-h2' || shape === 'pair-h2' ? 'h2' : undefined;
  const socket = await handshake(inner ?? front, certificates, { protocol });
  const [version, cipher] = [socket.getProtocol(), socket.getCipher().standardName];
  const key = socket.getPeerCertificate();
  const isAgreed = protocol === undefined || socket.alpnProtocol === protocol;
  socket.destroy();
  if (!isAgreed) throw new RigError(`${running.label} does not agree on HTTP/2`);
  if (version !== 'TLSv1.3')
    throw new RigError(`${running.label} speaks ${version ?? 'no TLS'}, not TLS 1.3`);
  if (key.asn1Curve !== 'prime256v1')
    throw new RigError(`${running.label} shows a certificate that is not P-256`);
  return `${version} ${cipher}${protocol === undefined ? '' : ' h2'}`;
}

function handshake(
  port: number,
  certificates: Certificates,
  ask: { protocol?: string | undefined; servername?: string },
): Promise<TLSSocket> {
  const { protocol, servername = 'localhost' } = ask;
  const { client, ca } = certificates;
  const identity = { cert: readFileSync(client.cert), key: readFileSync(client.key), ca: readFileSync(ca) };
  return new Promise((resolve, reject) => {
    const offer = protocol === undefined ? {} : { ALPNProtocols: [protocol] };
    const at = { host: '127.0.0.1', port, servername };
    const socket = connect({ ...at, ...identity, ...offer }, () => resolve(socket));
    socket.setTimeout(5000, () => socket.destroy(new Error('no handshake within 5 s')));
    socket.on('error', reject);
  });
}
