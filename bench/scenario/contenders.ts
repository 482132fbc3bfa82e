// Who takes part in the scenarios with one service of several endpoints, and the programs those run against. In: the
// peers asked for; out: started proxies with the port to call, endpoints whose behaviour can be changed.

import type { CallsJob, CallsReport } from '../measure/calls-program.js';
import type { EndpointsAnswer, EndpointsMessage } from '../measure/endpoints-program.js';
import { Program } from '../measure/program.js';
import type { Arrivals } from '../measure/shares.js';
import type { Capacity } from '../measure/work.js';
import { envoyService } from '../peers/envoy-service.js';
import { haproxyService } from '../peers/haproxy-service.js';
import type { ServicePlan, ServicePlanner, ServiceShape } from '../peers/service.js';
import { tulleService } from '../peers/tulle-service.js';
import { bar, progress } from '../report/progress.js';
import type { Started } from '../rig/processes.js';
import { type Bench, groundOf, type Running, startPlan } from '../rig/running.js';
import { pause, RigError } from '../rig/tools.js';
import { DIRECT } from './latency.js';
import { type Context, messageOf, note } from './scenario.js';

const PLANNERS: ReadonlyMap<string, ServicePlanner> = new Map([
  ['tulle', tulleService],
  ['haproxy', haproxyService],
  ['envoy', envoyService],
]);

/** One way to the endpoints. */
export interface Contender {
  readonly name: string;
  /** What callers connect to. */
  readonly targets: readonly number[];
  /** Undefined: no proxy at all. */
  readonly proxy: { readonly running: Running; readonly admin: ServicePlan['admin'] } | undefined;
}

/** The programs of one contender's run: endpoints of its own, callers of its own. */
export interface Stand {
  readonly contender: Contender;
  readonly endpoints: EndpointsControl;
  /** All processes that are part of the measurement. */
  pids(): number[];
  call(job: Omit<CallsJob, 'targets'>): Promise<CallsReport>;
}

/** The seed of endpoints and callers, the same for all contenders. */
export const SEED = 20_240;

/** Health checks must have found everybody well, and nothing that starts may still be busy with it. */
const SETTLE_S = 2.5;

/** Five rounds of the other scenarios are one of these, which last as long. */
const ROUNDS_EACH = 5;

/** Runs a scenario of that length if it was asked for: in each round, each contender on a stand of its own. */
export async function eachStand(
  context: Context,
  as: { shape: 'overload' | 'resilience'; endpoints: number; capacity?: Capacity },
  run: (stand: Stand, round: number) => Promise<void>,
): Promise<void> {
  const { options } = context;
  if (!options.scenarios.includes(as.shape)) return;
  const rounds = Math.ceil(options.rounds / ROUNDS_EACH);
  for (let round = 1; round <= rounds; round += 1) {
    for (const name of contenderNames(context)) {
      progress(`${bar((round - 1) / rounds)} ${as.shape}  round ${round} of ${rounds}  ${name}`);
      await withStand(context, { name, ...as }, (stand) => run(stand, round));
    }
  }
}

/** The names of those who take part, in the order of the peers; without a proxy comes last. */
function contenderNames(context: Context): string[] {
  return [...context.peers.map((peer) => peer.name).filter((name) => PLANNERS.has(name)), DIRECT];
}

/** Starts endpoints, the contender and callers, lets `run` have them, and stops them; a failure is noted. */
async function withStand(
  context: Context,
  as: { name: string; shape: ServiceShape; endpoints: number; capacity?: Capacity },
  run: (stand: Stand) => Promise<void>,
): Promise<void> {
  const { bench } = context;
  const kept = [...bench.upstream.pids(), ...bench.upstreamH2.pids()];
  try {
    const ports = Array.from({ length: as.endpoints }, () => bench.ports.take());
    const endpoints = new EndpointsControl(bench);
    await endpoints.open(ports, as.capacity);
    const contender = await startContender(bench, as, ports);
    const callers = new Program<CallsJob, CallsReport | { failure: string }>(bench.fleet, 'calls-program', {
      core: bench.machine.loadCore,
    });
    await pause(SETTLE_S);
    await run({
      contender,
      endpoints,
      pids: () => [
        process.pid,
        ...endpoints.started.pids(),
        ...callers.started.pids(),
        ...(contender.proxy?.running.pids() ?? []),
      ],
      call: async (job) => {
        const length = job.stages.reduce((total, stage) => total + stage.ms, 0);
        const answer = await callers.ask(
          { ...job, targets: contender.targets },
          { seconds: (length + job.giveUpMs) / 1000 + 20 },
        );
        if ('failure' in answer) throw new RigError(answer.failure);
        return answer;
      },
    });
  } catch (error) {
    note(context, `${as.shape} of ${as.name} failed: ${messageOf(error)}`);
  }
  await bench.fleet.stopOthers(kept);
}

async function startContender(
  bench: Bench,
  as: { name: string; shape: ServiceShape },
  ports: readonly number[],
): Promise<Contender> {
  const planner = PLANNERS.get(as.name);
  if (planner === undefined) return { name: as.name, targets: ports, proxy: undefined };
  const ground = groundOf(bench, as.name);
  const plan = planner(as.shape, ground, ports);
  const running = await startPlan(bench, plan, {
    label: as.name,
    shape: 'http',
    folder: ground.folder,
    seconds: 20,
  });
  return { name: as.name, targets: [plan.front], proxy: { running, admin: plan.admin } };
}

/** Talks to the endpoints' program. */
export class EndpointsControl {
  readonly #program: Program<EndpointsMessage, EndpointsAnswer>;

  /** The program's process. */
  get started(): Started {
    return this.#program.started;
  }

  /** Starts it. */
  constructor(bench: Bench) {
    this.#program = new Program(bench.fleet, 'endpoints-program', { core: bench.machine.loadCore });
  }

  /** Listens on these ports; with a capacity, all of them share it. */
  async open(ports: readonly number[], capacity: Capacity | undefined): Promise<void> {
    await this.#ask({ kind: 'open', ports, seed: SEED, ...(capacity === undefined ? {} : { capacity }) });
  }

  /** Begins a run. */
  async run(of: Omit<Extract<EndpointsMessage, { kind: 'run' }>, 'kind'>): Promise<void> {
    await this.#ask({ kind: 'run', ...of });
  }

  /** What arrived since the run began. */
  async arrivals(): Promise<Arrivals> {
    const answer = await this.#ask({ kind: 'arrivals' });
    if (typeof answer === 'object' && 'counts' in answer) return answer;
    throw new RigError('the endpoints did not say what arrived');
  }

  /** Requests that shared workers have not finished. */
  async load(): Promise<number> {
    const answer = await this.#ask({ kind: 'load' });
    if (typeof answer === 'object' && 'load' in answer) return answer.load;
    throw new RigError('the endpoints did not say their load');
  }

  async #ask(message: EndpointsMessage): Promise<EndpointsAnswer> {
    const answer = await this.#program.ask(message, { seconds: 10 });
    if (typeof answer === 'object' && 'failure' in answer) throw new RigError(answer.failure);
    return answer;
  }
}
