// What the person asked for: the command line in, checked options out. Before: main; after: the plan of scenarios.

import { parseArgs } from 'node:util';

/** Every scenario by name, in running order. `--only` takes these, or the part before a dash. */
export const SCENARIOS = [
  'h1-1k-32',
  'h1-1k-256',
  'h1-16k-32',
  'h1-16k-256',
  'tls-1k-32',
  'h2-h1-32x1',
  'h2-h1-4x8',
  'tls-h2-32x1',
  'h2-32x1',
  'h2-4x8',
  'grpc-4x8',
  'grpc-32x1',
  'grpc-1x100',
  'grpc-stream',
  'tcp-1k-32',
  'tcp-16k-32',
  'tcp-connect-32',
  'sni-1k-32',
  'mtls-pair-32',
  'mtls-pair-1',
  'mtls-pair-256',
  'latency',
  'blocked',
  'syscalls',
  'memory',
  'memory-h2',
  'routes',
  'decisions',
  'idle-features',
  'resilience',
  'overload',
] as const;

/** The name of one scenario. */
export type ScenarioName = (typeof SCENARIOS)[number];

/** What `--quick` leaves out where nothing is asked for by name: each has a sister that stays, or lasts too long. */
const NOT_QUICK: ReadonlySet<ScenarioName> = new Set<ScenarioName>([
  'h1-16k-256',
  'h2-h1-4x8',
  'h2-32x1',
  'h2-4x8',
  'grpc-32x1',
  'grpc-1x100',
  'grpc-stream',
  'tcp-16k-32',
  'tcp-connect-32',
  'mtls-pair-1',
  'mtls-pair-256',
  'decisions',
  'resilience',
  'overload',
]);

/** Every peer by name; `tulle-bare` (the data plane without Node) only when asked for. */
export const PEERS = ['tulle', 'nginx', 'haproxy', 'envoy', 'tulle-bare'] as const;

/** The name of one peer. */
export type PeerName = (typeof PEERS)[number];

/** How much is measured, and what. Times in seconds. */
export interface BenchOptions {
  /** Interleaved rounds (A B C A B C …). */
  readonly rounds: number;
  /** Length of one measured window. */
  readonly duration: number;
  /** Load before each window that is not counted. */
  readonly warmUp: number;
  readonly scenarios: readonly ScenarioName[];
  readonly peers: readonly PeerName[];
  /** Extra copy of the result; results also land in bench/results/. */
  readonly jsonFile: string | undefined;
  /** True: the JSON goes to standard output, the table to standard error. */
  readonly jsonToStdout: boolean;
  readonly quick: boolean;
  /** Connections that the memory scenario holds open. */
  readonly idleConnections: number;
  /** Wait between closing those and reading the memory again. */
  readonly settle: number;
  /** The same over HTTP/2. */
  readonly idleHttp2Connections: number;
  /** Idle processes started together for the shared-memory figure. */
  readonly idleProcesses: number;
}

/** Names in lines that end under the option's column. */
function listed(names: readonly string[]): string {
  const lines = [''];
  for (const name of names) {
    const last = lines.at(-1) ?? '';
    if (last.length + name.length < 90) lines[lines.length - 1] = `${last} ${name}`.trim();
    else lines.push(name);
  }
  return lines.join(`\n${' '.repeat(19)}`);
}

/** The text of `--help`. */
export const USAGE = `Usage: npm run bench -- [options]

  --rounds N       interleaved rounds (default 5); of resilience and overload one for every five
  --duration S     seconds of each measured window (default 2)
  --only NAME,…    ${listed(SCENARIOS)}
                   or a beginning of such a name: h1, h2, grpc, tcp, mtls
  --peers A,B      of ${PEERS.join(' ')} (default: all but tulle-bare)
  --json [FILE]    JSON on standard output, or in FILE
  --quick          2 short rounds of fewer scenarios, some three minutes: a check of the rig, not a result

Examples:
  npm run bench
  npm run bench -- --only h1-1k-32 --peers tulle,haproxy --rounds 9
  npm run bench -- --quick --json out.json
`;

/** A command line that cannot be run; the message is for the person. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const FLAGS = {
  rounds: { type: 'string' },
  duration: { type: 'string' },
  only: { type: 'string' },
  peers: { type: 'string' },
  json: { type: 'string' },
  quick: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** Options of a command line, or `'help'`. Throws {@link UsageError}. */
export function parseOptions(args: readonly string[]): BenchOptions | 'help' {
  const values = flagsOf(args);
  if (values.help === true) return 'help';
  const quick = values.quick === true;
  const json = values.json;
  return {
    rounds: numberOf('--rounds', values.rounds ?? (quick ? '2' : '5'), { low: 1, high: 100, whole: true }),
    duration: numberOf('--duration', values.duration ?? (quick ? '0.5' : '2'), {
      low: 0.2,
      high: 60,
      whole: false,
    }),
    warmUp: quick ? 0.15 : 0.3,
    scenarios: scenariosOf(values.only).filter(
      (name) => !quick || values.only !== undefined || !NOT_QUICK.has(name),
    ),
    peers: peersOf(values.peers),
    jsonFile: json === undefined || json === '-' ? undefined : json,
    jsonToStdout: json === '-',
    quick,
    idleConnections: quick ? 500 : 10_000,
    idleHttp2Connections: quick ? 200 : 1000,
    settle: quick ? 2 : 30,
    idleProcesses: quick ? 3 : 10,
  };
}

function flagsOf(args: readonly string[]) {
  try {
    return parseArgs({ args: withJsonValue(args), options: FLAGS, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** `--json` alone means standard output, which parseArgs cannot say: it becomes `--json=-`. */
function withJsonValue(args: readonly string[]): string[] {
  return args.map((arg, at) => {
    const next = args[at + 1];
    return arg === '--json' && (next === undefined || next.startsWith('--')) ? '--json=-' : arg;
  });
}

function numberOf(flag: string, text: string, bounds: { low: number; high: number; whole: boolean }): number {
  const value = Number(text);
  const fits = Number.isFinite(value) && value >= bounds.low && value <= bounds.high;
  if (!fits || (bounds.whole && !Number.isInteger(value))) {
    throw new UsageError(
      `${flag} takes a number from ${bounds.low} to ${bounds.high}, not ${JSON.stringify(text)}`,
    );
  }
  return value;
}

function scenariosOf(text: string | undefined): readonly ScenarioName[] {
  if (text === undefined) return SCENARIOS;
  const wanted = text.split(',').filter((part) => part !== '');
  const fits = (name: string, part: string) => name === part || name.startsWith(`${part}-`);
  const unknown = wanted.find((part) => !SCENARIOS.some((name) => fits(name, part)));
  if (unknown !== undefined || wanted.length === 0) {
    throw new UsageError(`--only knows ${SCENARIOS.join(', ')}, not ${JSON.stringify(unknown ?? text)}`);
  }
  return SCENARIOS.filter((name) => wanted.some((part) => fits(name, part)));
}

function peersOf(text: string | undefined): readonly PeerName[] {
  if (text === undefined) return PEERS.filter((name) => name !== 'tulle-bare');
  const wanted = text.split(',').filter((part) => part !== '');
  const unknown = wanted.find((part) => !PEERS.some((name) => name === part));
  if (unknown !== undefined || wanted.length === 0) {
    throw new UsageError(`--peers knows ${PEERS.join(', ')}, not ${JSON.stringify(unknown ?? text)}`);
  }
  return PEERS.filter((name) => wanted.includes(name));
}
