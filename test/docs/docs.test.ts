// README, ARCHITECTURE and CONTRIBUTING say what is so: paths exist, tables are the code's, commands and programs run.
// `UPDATE=1 npm test docs` writes the tables.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { EXIT } from '../../src/cli/output.js';
import { DEFAULTS } from '../../src/config/defaults.js';
import { configSchemaJson } from '../../src/config/json-schema.js';
import { request, startUpstream } from '../http.js';
import { root } from '../process.js';
import { type Block, createPlace, type Place, startCommand, toBlocks, toSteps } from './commands.js';
import { TABLES } from './tables.js';

const LINE_LIMITS: Readonly<Record<string, number>> = {
  'README.md': 400,
  'ARCHITECTURE.md': 150,
  'CONTRIBUTING.md': 60,
};
/** Made by a build, by `npm run bench` or by a command; not in a fresh clone. */
const MADE = [/^bench\/(chart\.svg|results\/)/, /^(build|dist|node_modules)\//, /^examples\/certs\//];

const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const packageJson = JSON.parse(read('package.json')) as { scripts: Record<string, string> };

/** What a document calls by its path: links, and code spans that begin with a folder of the checkout or are a file. */
function pathsOf(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '');
  const links = [...prose.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(([, target = '']) => target);
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, text = '']) => text).filter(isPath);
  return [...new Set([...links.filter((link) => !/^\w+:/.test(link)), ...spans])];
}

function isPath(text: string): boolean {
  return (
    /^(native|src|bench|docker|test|examples|\.ci|\.github)\/[\w./-]*$/.test(text) ||
    /^[\w-]+\.(json|md|mjs)$/.test(text)
  );
}

for (const [file, limit] of Object.entries(LINE_LIMITS)) {
  t.test(file, async (t) => {
    const text = read(file);
    t.ok(text.trimEnd().split('\n').length <= limit, `${file} has at most ${limit} lines`);
    t.ok(
      text.split('\n').every((line) => line.length <= 120 || /^([|!-]|curl|`)/.test(line)),
      'lines of prose are at most 120 wide',
    );
    const paths = pathsOf(text);
    t.ok(paths.length > 0, 'it names files');
    for (const name of paths) {
      if (MADE.some((made) => made.test(name))) continue;
      t.ok(existsSync(path.join(root, name)), `${file} names ${name}, which exists`);
    }
    for (const [, script = ''] of text.matchAll(/\bnpm run ([\w:]+)/g)) {
      t.ok(script in packageJson.scripts, `${file} names npm run ${script}, which exists`);
    }
  });
}

t.test('the tables are those of the code', async (t) => {
  const places = /^<!-- table: ([\w-]+) -->\n([\s\S]*?)^<!-- end -->$/gm;
  const before = read('README.md');
  const after = before.replace(places, (_, name: string) => {
    const text = TABLES[name]?.() ?? '';
    t.ok(text.split('\n').length > 2 || text.length > 200, `the table ${name} has something in it`);
    return `<!-- table: ${name} -->\n${text}\n<!-- end -->`;
  });
  t.same([...before.matchAll(places)].map(([, name]) => name).toSorted(), Object.keys(TABLES).toSorted());
  if (process.env.UPDATE !== undefined) writeFileSync(path.join(root, 'README.md'), after);
  t.equal(read('README.md'), after, 'write them with `UPDATE=1 npm test docs`');
});

t.test('facts of the prose are those of the code', async (t) => {
  const readme = read('README.md').replace(/\s+/g, ' ');
  const { ok, failed, usage } = EXIT;
  t.match(readme, `Exit codes: ${ok} done, ${failed} failed, ${usage} used wrongly.`);
  const bytes = /pub const PATH_BYTES: usize = (\d+);/.exec(
    read('native/proxy/src/telemetry/record.rs'),
  )?.[1];
  t.match(readme, `paths are cut at ${bytes} bytes`);
  const replay = /const REPLAY_BYTES: usize = (\d+) \* 1024;/.exec(
    read('native/proxy/src/worker/dispatch.rs'),
  );
  t.match(readme, `up to ${replay?.[1]} KiB of the request are kept`);
  const events = [...read('native/proxy/src/telemetry/event.rs').matchAll(/^ {4}\w+ = "(\w+)";$/gm)].map(
    ([, event]) => `\`${event}\``,
  );
  t.match(readme, `by event (${events.join(', ')})`);
  const user = /^USER (\d+):/m.exec(read('docker/Dockerfile'))?.[1];
  t.match(readme, `uid ${user}`);
  t.match(read('docker/Dockerfile'), '/etc/tulle/proxy.yaml');
  t.equal(read('src/config/tulle.schema.json'), configSchemaJson(), 'the schema for editors is current');
});

t.test('facts of the architecture are those of the code', async (t) => {
  const text = read('ARCHITECTURE.md').replace(/\s+/g, ' ');
  const number = (file: string, pattern: RegExp): string => {
    const found = Number(pattern.exec(read(file))?.[1]?.replaceAll('_', ''));
    return found.toLocaleString('en');
  };
  const listener = DEFAULTS.listener;
  t.match(text, `heads of ${listener.headerBytes / 1024} KiB and ${listener.headerFields} fields`);
  t.match(text, `${Number.parseInt(listener.headerTimeout, 10)} s for a head`);
  t.match(text, `${listener.bodyBytesPerSecond} B/s for a body`);
  t.match(text, `${listener.connections.toLocaleString('en')} connections per listener`);
  const heads = (file: string, name: string): string[] => [
    number(file, new RegExp(`const ${name}: HeadLimits = HeadLimits { bytes: (\\d+) \\* 1024`)),
    number(file, new RegExp(`const ${name}: HeadLimits = HeadLimits { bytes: .*, fields: (\\d+)`)),
  ];
  const [answerKib, answerFields] = heads('native/proxy/src/worker/request.rs', 'UPSTREAM_HEAD');
  t.match(text, `answer heads of ${answerKib} KiB and ${answerFields} fields`);
  const [trailerKib, trailerFields] = heads('native/proxy/src/worker/body.rs', 'TRAILERS');
  t.match(text, `trailers of ${trailerKib} KiB and ${trailerFields} fields`);
  t.match(text, `${number('native/proxy/src/telemetry/log.rs', /LOG_BOUND: usize = ([\d_]+);/)} log records`);
  t.match(
    text,
    `${number('native/proxy/src/telemetry/worker.rs', /SERIES_BOUND: usize = ([\d_]+);/)} series`,
  );
  t.match(
    text,
    `pauses ${number('native/proxy/src/worker/accept.rs', /PAUSE_MS: u32 = ([\d_]+);/)} ms at a time`,
  );

  const types = read('native/node/index.d.cts');
  const [engine = ''] = /class Engine {[\s\S]*?^}/m.exec(types) ?? [];
  const methods = [...engine.matchAll(/^ {2}(?:static )?(\w+)\(/gm)].map(([, name]) => name);
  const [, listed = ''] = /`Engine` \(([^)]*)\)/.exec(text) ?? [];
  t.same(listed.replaceAll('`', '').split(', ').toSorted(), methods.toSorted());
  const functions = [...types.matchAll(/^export declare function (\w+)/gm)].map(([, name]) => name);
  t.same(functions, ['writeCerts']);
  for (const [thread, file] of [
    ['tulle-admin', 'engine/threads.rs'],
    ['tulle-log', 'telemetry/log.rs'],
    ['tulle-health', 'health.rs'],
    ['tulle-keeper', 'engine/keeper.rs'],
  ]) {
    t.match(text, `| \`${thread}\` |`);
    t.match(read(`native/proxy/src/${file}`), `"${thread}"`, `${file} names its thread so`);
  }

  const invariants = [...read('ARCHITECTURE.md').matchAll(/^## Invariants\n([\s\S]*?)\n##/gm)];
  const numbers = [...(invariants[0]?.[1] ?? '').matchAll(/^(\d+)\. /gm)].map(([, at]) => Number(at));
  t.same(
    numbers,
    numbers.map((_, at) => at + 1),
    'invariants are numbered in order',
  );
  t.ok(numbers.length >= 10);
});

const blocks = toBlocks(read('README.md'));
const ofKind = (kind: string): Block[] => blocks.filter((block) => block.kind === kind);

t.test('every block is one that is run', async (t) => {
  t.same(blocks.map(({ kind }) => kind).toSorted(), [
    'js',
    'sh',
    'sh run',
    'sh run',
    'sh run',
    'sh run',
    'ts',
  ]);
  for (const { command } of ofKind('sh').flatMap(({ text }) => toSteps(text.replaceAll(' # ', '  # ')))) {
    const [, script = ''] = /^npm (?:run )?([\w:]+)$/.exec(command.trim()) ?? [];
    t.ok(script in packageJson.scripts, `${command.trim()} is a script of package.json`);
  }
});

// Each block in a folder of its own, with ports of its own, beside the others.
const runnable = [];
for (const block of ofKind('sh run')) {
  runnable.push({ steps: toSteps(block.text), place: await createPlace(t, block.text) });
}
const [embedded] = ofKind('js');
const embeddedPlace = await createPlace(t, 'examples/embed.js');
const [typed] = ofKind('ts');
const typedPlace = await createPlace(t, typed?.text ?? '');
t.jobs = 4;

for (const [index, { steps, place }] of runnable.entries()) {
  t.test(`the commands of block ${index + 1}`, { buffered: true }, async (t) => {
    for (const step of steps) {
      const says = place.local(step.says);
      const running = startCommand(t, place.local(step.command), place);
      if (step.background) {
        t.match(await running.says(says), says, `${step.command} &`);
        continue;
      }
      const { status, output } = await running.ended;
      t.equal(status, step.status, `${step.command}: exit code\n${status === step.status ? '' : output}`);
      t.match(output, says, step.command);
    }
  });
}

/** Runs a program in the place, with an upstream where the examples have one. */
async function runProgram(
  scope: Parameters<typeof startCommand>[0],
  { place, command }: { place: Place; command: string },
): Promise<ReturnType<typeof startCommand>> {
  await startUpstream(scope, { port: Number(place.local('19001')), name: 'a' });
  return startCommand(scope, command, place);
}

t.test('the embedding example', { buffered: true }, async (t) => {
  t.equal(embedded?.text, read('examples/embed.js'), 'the README shows the file');
  const code = (embedded?.text ?? '').split('\n').filter((line) => line !== '' && !line.startsWith('//'));
  t.ok(code.length <= 10, 'in ten lines');
  const program = await runProgram(t, { place: embeddedPlace, command: 'exec node examples/embed.js' });
  const url = embeddedPlace.local('http://127.0.0.1:18080');
  await program.says(`ready ${url}`);
  t.match(await request(url), { status: 200, body: 'a' });
});

t.test('the typed example', { buffered: true }, async (t) => {
  const place = typedPlace;
  writeFileSync(path.join(place.folder, 'embed.ts'), place.local(typed?.text ?? ''));
  const tsc = path.join(root, 'node_modules/.bin/tsc');
  const types = path.join(root, 'node_modules/@types');
  const options = `--strict --exactOptionalPropertyTypes --module nodenext --target es2023 --types node --typeRoots ${types}`;
  const compiled = await startCommand(t, `${tsc} ${options} embed.ts`, place).ended;
  t.same(compiled, { status: 0, output: '' }, 'it is typed');
  const program = await runProgram(t, { place, command: 'exec node embed.js' });
  const { status, output } = await program.ended;
  t.equal(status, 0, output);
  t.match(output, /UNKNOWN_SERVICE[\s\S]*url: 'http:\/\/127\.0\.0\.1:\d+'[\s\S]*accessLog/);
});

t.test('what is taken for what', async (t) => {
  const [first, second] = toBlocks(
    'text\n```sh run\na &   # up\nb -x  # exit code 2: no\n```\n```ts\nc\n```\n',
  );
  t.same(second, { kind: 'ts', text: 'c\n' });
  t.same(toSteps(first?.text ?? ''), [
    { command: 'a', background: true, status: 0, says: 'up' },
    { command: 'b -x', background: false, status: 2, says: 'no' },
  ]);
  t.same(pathsOf('`src/cli` [a](b/c.md#d) [w](https://e.f) `src/**` `package.json` ```x```'), [
    'b/c.md',
    'src/cli',
    'package.json',
  ]);
});
