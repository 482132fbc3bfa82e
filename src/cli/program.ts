// The commands of `tulle`, their options and their help. Each command's work is in a file of its own, loaded when used.

import { createRequire } from 'node:module';
import { Command, CommanderError, Option } from 'commander';
import { EXIT, type ExitCode, type GlobalOptions, LOG_LEVELS } from './output.js';

const { version } = createRequire(import.meta.url)('tulle/package.json') as { version: string };

/** Shown below `tulle --help`. */
const EXAMPLES = `
Examples:
  tulle proxy --config edge.yaml            run a proxy; Ctrl-C drains, twice ends at once
  tulle proxy --config edge.yaml --watch    and load the file again whenever it changes
  kill -HUP PID                             load the file again now
  tulle check edge.yaml hop.yaml            print every problem as file:line:column
  tulle check --json edge.yaml              the same for programs
  tulle certs examples                      make the certificates that the examples name

Exit codes: 0 done, 1 failed, 2 used wrongly.`;

/** Builds the command line; `end` gets the exit code of the command that ran. */
export function createProgram(end: (code: ExitCode) => void): Command {
  const program = new Command('tulle')
    .description('A service mesh and edge proxy.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addOption(
      new Option('--log-level <level>', 'what is logged to standard error')
        .choices(LOG_LEVELS)
        .default('info'),
    )
    .option('--json', 'print results as JSON')
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError()
    .addHelpText('after', EXAMPLES)
    .exitOverride();
  const globals = (): GlobalOptions => program.opts<GlobalOptions>();
  addProxy(program, globals, end);
  addCheck(program, globals, end);
  addCerts(program, globals, end);
  addBench(program, end);
  return program;
}

/** The exit code of what commander throws, or undefined where it is something else. */
export function toUsageExit(caught: unknown): ExitCode | undefined {
  if (!(caught instanceof CommanderError)) return undefined;
  const asked = ['commander.help', 'commander.helpDisplayed', 'commander.version'];
  return asked.includes(caught.code) && caught.exitCode === 0 ? EXIT.ok : EXIT.usage;
}

type Globals = () => GlobalOptions;
type End = (code: ExitCode) => void;

function addProxy(program: Command, globals: Globals, end: End): void {
  program
    .command('proxy')
    .description('Run a proxy until it is told to stop.')
    .requiredOption('-c, --config <file>', 'the configuration')
    .option('-w, --watch', 'load the configuration again whenever it changes')
    .addHelpText(
      'after',
      '\nSIGHUP loads the configuration and opens the access log again; SIGTERM and SIGINT drain, a second one ends at once.',
    )
    .action(async (options: { config: string; watch?: boolean }) => {
      const { runProxy } = await import('./proxy.js');
      end(await runProxy({ ...globals(), file: options.config, watch: options.watch ?? false }));
    });
}

function addCheck(program: Command, globals: Globals, end: End): void {
  program
    .command('check')
    .description('Print every problem of configurations; exits with 1 where one would be refused.')
    .argument('<file...>', 'the configurations')
    .action(async (files: string[]) => {
      const { runCheck } = await import('./check.js');
      end(await runCheck(files, globals()));
    });
}

function addCerts(program: Command, globals: Globals, end: End): void {
  program
    .command('certs')
    .description('Write the certificates that the examples name to DIR/certs; what is still valid is kept.')
    .argument('[dir]', 'where to', '.')
    .option('-f, --force', 'replace what is still valid too')
    .action(async (dir: string, options: { force?: boolean }) => {
      const { runCerts } = await import('./certs.js');
      end(await runCerts({ ...globals(), dir, force: options.force ?? false }));
    });
}

function addBench(program: Command, end: End): void {
  program
    .command('bench')
    .description('Measure against nginx, HAProxy and Envoy (in a checkout).')
    .argument('[args...]', 'passed on')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions(false)
    .action(async (args: string[]) => {
      const { runBench } = await import('./bench.js');
      end(await runBench(args));
    });
}
