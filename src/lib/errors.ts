// The one error class of the TypeScript side, and the codes it may carry.
// In: whatever was caught. Out: a TulleError whose message an operator can read and whose cause is kept.

import type { Diagnostic } from '../config/diagnostic.js';

/** What went wrong, for programs; the message is for people. */
export type ErrorCode =
  /** The configuration has problems; the diagnostics say which. */
  | 'CONFIG_INVALID'
  /** The data plane refused a snapshot or could not start with it. */
  | 'ENGINE_REFUSED'
  /** The addon for this platform is missing or does not load. */
  | 'ADDON_MISSING'
  /** A call that the object's state does not allow (started twice, used after close). */
  | 'BAD_STATE'
  /** The command line was used wrongly. */
  | 'USAGE'
  /** A file or socket operation failed. */
  | 'IO'
  /** A bug. */
  | 'INTERNAL';

/** What an error carries beside its message. */
export interface TulleErrorOptions extends ErrorOptions {
  /** `CONFIG_INVALID`: every problem and where it stands. */
  readonly diagnostics?: readonly Diagnostic[];
}

/** A failure with a code. Thrown for bugs and at the public interface; expected failures inside are values. */
export class TulleError extends Error {
  override readonly name = 'TulleError';
  readonly code: ErrorCode;
  /** Every problem of the configuration, with `CONFIG_INVALID`; otherwise empty. */
  readonly diagnostics: readonly Diagnostic[];

  constructor(code: ErrorCode, message: string, options: TulleErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.diagnostics = options.diagnostics ?? [];
  }

  /** Wraps what a `catch` got: a TulleError stays itself, an error of the system becomes `IO`, the rest `INTERNAL`. */
  static from(caught: unknown): TulleError {
    if (caught instanceof TulleError) return caught;
    if (caught instanceof Error) {
      return new TulleError(systemCode(caught) === undefined ? 'INTERNAL' : 'IO', caught.message, {
        cause: caught,
      });
    }
    return new TulleError('INTERNAL', String(caught), { cause: caught });
  }
}

/** The system's code of an error (`ENOENT`, `EACCES`, …), or undefined where it has none. */
export function systemCode(caught: unknown): string | undefined {
  if (!(caught instanceof Error) || !('syscall' in caught) || !('code' in caught)) return undefined;
  return typeof caught.code === 'string' ? caught.code : undefined;
}
