// What the command line prints, and the codes it ends with. Results go to standard output, everything else to standard
// error; either may be closed by whoever reads it, which ends nothing.

import { type Logger, pino } from 'pino';

/** How a command ended. */
export const EXIT = {
  ok: 0,
  /** It could not do what was asked. */
  failed: 1,
  /** It was asked in a way it does not understand. */
  usage: 2,
} as const;

/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Options that every command has. */
export interface GlobalOptions {
  readonly logLevel: string;
  /** Print JSON instead of text. */
  readonly json?: boolean;
}

/** The levels of `--log-level`. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

/** A reader that goes away is no reason to stop serving. */
export function tolerateClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

/** Prints a result as one line. */
export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Prints a problem. */
export function printProblem(text: string): void {
  process.stderr.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Structured events, one JSON line each, on standard error. */
export function createLog(level: string): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (line: string) => void process.stderr.write(line) },
  );
}
