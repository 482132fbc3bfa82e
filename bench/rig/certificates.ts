// The certificates that all peers share, made anew for each run with openssl: ECDSA P-256, named as `tulle certs` names
// them, with the SPIFFE IDs of examples/hop-*.yaml. In: a folder; out: paths of PEM files.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLIENT_ID, SERVER_ID } from '../peers/peer.js';
import { run } from './tools.js';

/** A certificate with its key. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
  /** Both in one file, as HAProxy wants them. */
  readonly both: string;
}

/** Paths of everything that was made. */
export interface Certificates {
  /** The root that signed the others. */
  readonly ca: string;
  /** For TLS termination; no SPIFFE ID. */
  readonly edge: KeyPair;
  /** The answering half of a pair. */
  readonly server: KeyPair;
  /** The calling half of a pair. */
  readonly client: KeyPair;
}

const NAMES = 'DNS:localhost,DNS:*.example.test,IP:127.0.0.1';
const CURVE = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'] as const;

/** Makes the root and three leaves, valid for two days. */
export function makeCertificates(folder: string): Certificates {
  const ca = { cert: join(folder, 'ca.crt'), key: join(folder, 'ca.key') };
  run(['openssl', 'genpkey', ...CURVE, '-out', ca.key]);
  run([
    ...(['openssl', 'req', '-x509', '-new', '-key', ca.key, '-out', ca.cert, '-days', '2'] as const),
    ...['-subj', '/CN=benchmark root'],
    ...['-addext', 'basicConstraints=critical,CA:TRUE'],
    ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ...['-addext', 'subjectAltName=URI:spiffe://example.test'],
  ]);
  return {
    ca: ca.cert,
    edge: leaf(folder, ca, { name: 'edge', alternatives: NAMES }),
    server: leaf(folder, ca, { name: 'server', alternatives: `${NAMES},URI:${SERVER_ID}` }),
    client: leaf(folder, ca, { name: 'client', alternatives: `${NAMES},URI:${CLIENT_ID}` }),
  };
}

function leaf(
  folder: string,
  ca: { cert: string; key: string },
  subject: { name: string; alternatives: string },
): KeyPair {
  const at = (ending: string) => join(folder, `${subject.name}.${ending}`);
  const [key, request, cert, both] = [at('key'), at('csr'), at('crt'), at('pem')];
  writeFileSync(
    at('ext'),
    [
      'basicConstraints=critical,CA:FALSE',
      'keyUsage=critical,digitalSignature',
      'extendedKeyUsage=serverAuth,clientAuth',
      `subjectAltName=${subject.alternatives}`,
      'authorityKeyIdentifier=keyid',
      'subjectKeyIdentifier=hash',
    ].join('\n'),
  );
  run(['openssl', 'genpkey', ...CURVE, '-out', key]);
  run(['openssl', 'req', '-new', '-key', key, '-subj', `/CN=${subject.name}`, '-out', request]);
  const sign = ['-CA', ca.cert, '-CAkey', ca.key, '-CAcreateserial', '-days', '2', '-extfile', at('ext')];
  run(['openssl', 'x509', '-req', '-in', request, ...sign, '-out', cert]);
  writeFileSync(both, readFileSync(cert, 'utf8') + readFileSync(key, 'utf8'), { mode: 0o600 });
  return { cert, key, both };
}
