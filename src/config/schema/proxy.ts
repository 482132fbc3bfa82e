// The whole configuration of a proxy as people write it.

import { z } from 'zod';
import { MIB } from '../../lib/size.js';
import { DEFAULTS } from '../defaults.js';
import { policy } from './authorization.js';
import { listener } from './listener.js';
import { route } from './route.js';
import { duration, fileName, integer, name, plainText, size } from './scalar.js';
import { service } from './service.js';

const accessLog = z
  .strictObject({
    requests: z
      .enum(['off', 'errors', 'all'])
      .prefault(DEFAULTS.accessLogRequests)
      .describe('errors: status 400 and above, and requests without a complete answer.'),
    file: fileName().prefault(DEFAULTS.accessLog.file).describe('"-" is standard output.'),
  })
  .prefault({ ...DEFAULTS.accessLog })
  .describe('One JSON line for each request.');

/** The top of the file. Numbers are per process, however many workers there are. */
export const proxy = z
  .strictObject({
    workers: integer(1, 256)
      .optional()
      .describe('Data-plane threads. Default: the cores this process may use.'),
    accessLog,
    memory: size({ min: 64 * MIB })
      .optional()
      .describe(
        'Resident memory of the process. From 90 % on no connection is accepted and idle ones are closed; from 100 % on requests are answered 503. Default: no limit.',
      ),
    drain: duration().prefault(DEFAULTS.drain).describe('How long a drain may take.'),
    zone: plainText(253)
      .optional()
      .describe('The zone that this proxy is in, for `preferZone`. Default: none.'),
    listeners: z.record(name(), listener).describe('Where connections come in.'),
    services: z.record(name(), service).prefault({}).describe('Where requests go.'),
    routes: z.array(route).max(100_000).prefault([]).describe('Which request goes where.'),
    authorization: z.array(policy).max(10_000).prefault([]).describe('Who may call what.'),
  })
  .describe('The configuration of a Tulle proxy.');

/** What people write, as a typed object. */
export type ProxyConfig = z.input<typeof proxy>;
/** A configuration that passed check: defaults filled in, durations in milliseconds. */
export type CheckedConfig = z.output<typeof proxy>;
