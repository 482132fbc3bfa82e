// `tulle proxy`: a proxy that runs until a signal ends it, and takes its file again when told to or when it changes.
// In: the file and signals. Out: one `ready` line on standard output, events and problems on standard error.

import type { Logger } from 'pino';
import { formatDiagnostics } from '../config/diagnostic.js';
import { createProxy, type TulleProxy } from '../engine/proxy.js';
import { TulleError } from '../lib/errors.js';
import { createLog, EXIT, type ExitCode, type GlobalOptions, printLine, printProblem } from './output.js';
import { watchFile } from './watch.js';

/** What the command line asked for. */
export interface ProxyCommand extends GlobalOptions {
  readonly file: string;
  readonly watch: boolean;
}

/** A running command. */
interface Serving {
  readonly proxy: TulleProxy;
  readonly command: ProxyCommand;
  readonly log: Logger;
}

/** Runs until a signal; the proxy is drained then, or ended at once by a second signal. */
export async function runProxy(command: ProxyCommand): Promise<ExitCode> {
  const log = createLog(command.logLevel);
  const signals = listenForSignals();
  const proxy = createProxy(
    { file: command.file },
    {
      onWarning: (diagnostics) => printProblem(formatDiagnostics(diagnostics)),
      onNotice: (text) => log.warn({ event: 'notice' }, text),
      onDnsFailure: (name, cause) =>
        log.warn(
          { event: 'dns_failed', name, reason: TulleError.from(cause).message },
          'a name was not resolved',
        ),
    },
  );
  const serving = { proxy, command, log };
  process.on('SIGHUP', () => void reload(serving).then(() => reopenLog(serving)));
  try {
    await proxy.start();
    const stopWatching = command.watch ? watchFile(command.file, () => void reload(serving)) : () => {};
    announce(serving);
    await signals.first;
    stopWatching();
  } catch (cause) {
    await proxy.close();
    explain(cause, command);
    return EXIT.failed;
  }
  return end(serving, signals.second);
}

/** When the first SIGTERM or SIGINT came, and the second. */
interface Signals {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
}

function listenForSignals(): Signals {
  const waiting: (() => void)[] = [];
  const next = (): Promise<void> =>
    new Promise((resolve) => {
      waiting.push(resolve);
    });
  const signals = { first: next(), second: next() };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => waiting.shift()?.());
  return signals;
}

function announce({ proxy, command, log }: Serving): void {
  const { addresses, version } = proxy;
  if (command.json === true) printLine(JSON.stringify({ event: 'ready', version, listeners: addresses }));
  else printLine(`ready ${addresses.map(({ name, url }) => `${name} ${url}`).join(', ')}`);
  log.info({ event: 'ready', version, listeners: addresses }, 'serving');
}

/** Takes the file again; what is wrong with it is printed, and the old configuration goes on. */
async function reload({ proxy, command, log }: Serving): Promise<void> {
  const before = proxy.version;
  try {
    await proxy.apply({ file: command.file });
    const { version } = proxy;
    log.info(
      { event: version === before ? 'config_unchanged' : 'config_applied', version },
      'configuration loaded',
    );
  } catch (cause) {
    explain(cause, command);
    log.warn({ event: 'config_refused', version: proxy.version }, 'the running configuration goes on');
  }
}

/** Log rotation moves the file away and sends SIGHUP. */
function reopenLog({ proxy }: Serving): void {
  if (proxy.version !== null) proxy.reopenLog();
}

function explain(cause: unknown, { json }: ProxyCommand): void {
  const { code, message, diagnostics } = TulleError.from(cause);
  printProblem(json === true ? JSON.stringify({ event: 'refused', code, message, diagnostics }) : message);
}

/** Drains as long as the configuration says; a second signal ends at once, whatever is in flight. */
async function end({ proxy, log }: Serving, second: Promise<void>): Promise<ExitCode> {
  log.info({ event: 'draining' }, 'finishing what is in flight');
  void second.then(() => {
    log.warn({ event: 'ended' }, 'ended by a second signal');
    process.exit(EXIT.failed);
  });
  const drained = await proxy.drain();
  await proxy.close();
  log.info({ event: 'ended', drained }, drained ? 'ended' : 'ended with requests in flight');
  return EXIT.ok;
}
