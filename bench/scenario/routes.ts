// Tulle's CPU per request with 10, 1,000 and 100,000 routes: half exact paths, half prefixes, on up to 1,000 hosts, asked
// for all over the table.

import { measureWindow, type Sample } from '../measure/window.js';
import { single } from '../peers/peer.js';
import { frontConfig, launchTulle } from '../peers/tulle.js';
import { bar, progress } from '../report/progress.js';
import { groundOf, type Running, startPlan } from '../rig/running.js';
import { type Context, note, stopAll } from './scenario.js';

/** Sizes of the routing table. */
const ROUTE_COUNTS = [10, 1000, 100_000] as const;

const MOST_HOSTS = 1000;
/** Different requests that the load cycles through. */
const ASKED = 1000;
const CONNECTIONS = 32;
/** Long enough to load, check and compile 100,000 routes. */
const START_S = 120;

interface Table {
  readonly count: number;
  readonly running: Running;
  readonly script: string;
  readonly samples: Sample[];
}

/** Runs the scenario if it was asked for and Tulle is among the peers. */
export async function routes(context: Context): Promise<void> {
  const { options, results, bench } = context;
  if (!options.scenarios.includes('routes') || !context.peers.some((peer) => peer.name === 'tulle')) return;
  const tables: Table[] = [];
  // The largest table alone takes longer to load than the rest of a quick run.
  for (const count of ROUTE_COUNTS.filter((size) => !options.quick || size <= 1000)) {
    progress(`starting Tulle with ${count} routes`);
    tables.push(await startTable(context, count));
  }
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const { count, running, script, samples } of tables) {
      progress(`${bar((round - 1) / options.rounds)} routes  round ${round}  ${count} routes`);
      const { warmUp, duration } = options;
      const load = { path: '/', connections: CONNECTIONS, warmUp, duration, script };
      const sample = await measureWindow(bench, running, { load, round });
      if (sample.void !== undefined)
        note(context, `routes (${count}), round ${round} is void: ${sample.void}`);
      samples.push(sample);
    }
  }
  results.routes.push(...tables.map(({ count, samples }) => ({ routes: count, samples })));
  await stopAll(
    context,
    tables.map(({ running }) => ({ running, tls: undefined, isCopy: false })),
  );
}

async function startTable(context: Context, count: number): Promise<Table> {
  const label = `routes-${count}`;
  const ground = groundOf(context.bench, label);
  const { config, port } = frontConfig('http', ground);
  const launch = launchTulle(ground, 'tulle', { ...config, routes: routeTable(count) });
  const running = await startPlan(context.bench, single(launch, port, false), {
    label,
    shape: 'http',
    folder: ground.folder,
    seconds: START_S,
  });
  return { count, running, script: ground.write('routes.lua', requestScript(count)), samples: [] };
}

/** Host and path of rule number `at`; every second rule is a prefix, on every host where it has several. */
export function placeOf(at: number, count: number): { host: string; path: string; kind: 'exact' | 'prefix' } {
  const hosts = Math.min(count, MOST_HOSTS);
  const host = at % hosts;
  const kind = (at + Math.floor(at / hosts)) % 2 === 0 ? 'exact' : 'prefix';
  return { host: `h${host}.example.test`, path: `/part-${at}/item`, kind };
}

/** A route per host with its share of the rules. */
function routeTable(count: number): object[] {
  const hosts = new Map<string, object[]>();
  for (let at = 0; at < count; at += 1) {
    const { host, path, kind } = placeOf(at, count);
    const rules = hosts.get(host) ?? [];
    rules.push({ matches: [{ path: { [kind]: path } }], backends: [{ service: 'app' }] });
    hosts.set(host, rules);
  }
  return [...hosts].map(([host, rules]) => ({ name: host, hostnames: [host], rules }));
}

/** A wrk script that asks for rules spread evenly over the table. */
export function requestScript(count: number): string {
  const asked = Math.min(count, ASKED);
  const lines = Array.from({ length: asked }, (_, index) => {
    const { host, path, kind } = placeOf(Math.floor((index * count) / asked), count);
    return `  { "${host}", "${path}${kind === 'prefix' ? '/more' : ''}" },`;
  });
  return `local places = {
${lines.join('\n')}
}
local requests = {}
local at = 0
function init(args)
  for i, place in ipairs(places) do
    requests[i] = wrk.format("GET", place[2], { ["Host"] = place[1] })
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
`;
}
