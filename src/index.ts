// The package: `import { createProxy } from 'tulle'`.

export type { Diagnostic } from './config/diagnostic.js';
export type { ProxyConfig } from './config/load.js';
export type { ProxySource } from './engine/compiled.js';
export {
  createProxy,
  type ListenerAddress,
  type ProxyOptions,
  type ProxyStats,
  type TulleProxy,
} from './engine/proxy.js';
export { type ErrorCode, TulleError } from './lib/errors.js';
