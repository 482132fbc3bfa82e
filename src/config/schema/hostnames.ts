// The host names of a route: exact ones and wildcards.

import { z } from 'zod';
import { checkHostname } from '../format/hostname.js';
import { text } from './scalar.js';

/** `hostnames` of a route: `api.example.com`, `*.example.com`. */
export const hostnames = z
  .array(
    text((value) => checkHostname(value, 'wildcard')).meta({
      examples: ['api.example.com', '*.example.com'],
    }),
  )
  .min(1)
  .max(10_000)
  .describe('Hosts; `*.x` matches one or more labels in front of x.');
