// Asks every started peer for known answers before it is measured: right bodies of every size, the headers that were
// configured, TLS 1.3 with our certificate, and at a pair's inner port a refusal of callers without a certificate.

import { readFileSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { type RequestOptions, request as secureRequest } from 'node:https';
import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import type { Certificates } from '../rig/certificates.js';
import type { Bench, Running } from '../rig/running.js';
import { RigError } from '../rig/tools.js';
import { type BodyName, bodyOf } from '../rig/upstream.js';

/** An answer as a whole. */
interface Answer {
  readonly status: number;
  readonly body: string;
}

/** What TLS was agreed with a peer, for the report; undefined for plain text. */
export type Agreed = string | undefined;

/** Throws {@link RigError} unless the peer behaves as configured; what TLS was agreed. */
export async function checkAnswers(bench: Bench, running: Running): Promise<Agreed> {
  const { plan, label } = running;
  const { certificates } = bench;
  for (const name of ['small', '1k', '16k'] satisfies BodyName[]) {
    const answer = await get(plan, `/${name}`, certificates);
    if (answer.status !== 200 || answer.body !== bodyOf(name)) {
      throw new RigError(`${label} answers /${name} with ${answer.status} and ${answer.body.length} bytes`);
    }
  }
  const [forwardedFor, proto, id, identity] = (await get(plan, '/echo', certificates)).body.split('\n');
  const problems = [
    namesAddress(forwardedFor) ? '' : 'x-forwarded-for',
    proto === '' || (plan.inner === undefined && proto !== (plan.secure ? 'https' : 'http'))
      ? 'x-forwarded-proto'
      : '',
    (id ?? '').length >= 16 ? '' : 'x-request-id',
    plan.inner === undefined || identity !== '' ? '' : 'x-forwarded-client-cert',
  ].filter((name) => name !== '');
  if (problems.length > 0) throw new RigError(`${label} does not send ${problems.join(', ')} upstream`);
  if (plan.inner !== undefined) await refusesStrangers(label, plan.inner, certificates);
  return plan.secure || plan.inner !== undefined ? await agreedTls(running, certificates) : undefined;
}

/** Whether the last entry is an address: Envoy writes the machine's own for a client on loopback. */
function namesAddress(forwardedFor: string | undefined): boolean {
  return isIP((forwardedFor ?? '').split(',').at(-1)?.trim() ?? '') !== 0;
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

/** Version and cipher that a client of OpenSSL's defaults agrees on. Throws unless it is TLS 1.3. */
async function agreedTls(running: Running, certificates: Certificates): Promise<string> {
  const { inner, front } = running.plan;
  const socket = await handshake(inner ?? front, certificates);
  const [version, cipher] = [socket.getProtocol(), socket.getCipher().standardName];
  const key = socket.getPeerCertificate();
  socket.destroy();
  if (version !== 'TLSv1.3')
    throw new RigError(`${running.label} speaks ${version ?? 'no TLS'}, not TLS 1.3`);
  if (key.asn1Curve !== 'prime256v1')
    throw new RigError(`${running.label} shows a certificate that is not P-256`);
  return `${version} ${cipher}`;
}

function handshake(port: number, certificates: Certificates): Promise<TLSSocket> {
  const { client, ca } = certificates;
  const identity = { cert: readFileSync(client.cert), key: readFileSync(client.key), ca: readFileSync(ca) };
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ...identity }, () =>
      resolve(socket),
    );
    socket.on('error', reject);
  });
}
