import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { root, runTulle, start, temporaryFolder, tulleMain } from '../process.js';

const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };

t.test('how the command line is answered', async (t) => {
  const cases: { args: string[]; status: number; stdout?: RegExp; stderr?: RegExp }[] = [
    { args: ['--version'], status: 0, stdout: new RegExp(`^${version.replaceAll('.', '\\.')}\n$`) },
    { args: ['-V'], status: 0, stdout: /^\d+\.\d+\.\d+\n$/ },
    { args: ['--help'], status: 0, stdout: /Usage: tulle[\s\S]*Examples:[\s\S]*tulle check/ },
    { args: ['help', 'proxy'], status: 0, stdout: /--watch[\s\S]*--log-level[\s\S]*SIGHUP/ },
    { args: ['proxy', '--help'], status: 0, stdout: /-c, --config <file>/ },
    { args: ['check', '-h'], status: 0, stdout: /Usage: tulle check/ },
    { args: [], status: 2, stderr: /Usage: tulle/ },
    { args: ['porxy'], status: 2, stderr: /unknown command 'porxy'[\s\S]*proxy/ },
    { args: ['--nonsense'], status: 2, stderr: /unknown option '--nonsense'/ },
    { args: ['proxy'], status: 2, stderr: /--config/ },
    { args: ['proxy', '--config'], status: 2, stderr: /argument missing/ },
    { args: ['proxy', '--config', 'a.yaml', 'b.yaml'], status: 2, stderr: /too many arguments/ },
    { args: ['check'], status: 2, stderr: /missing required argument 'file'/ },
    { args: ['check', '--log-level', 'loud', 'a.yaml'], status: 2, stderr: /Allowed choices are trace/ },
    { args: ['certs', 'a', 'b'], status: 2, stderr: /too many arguments/ },
  ];
  for (const { args, status, stdout, stderr } of cases) {
    const found = await runTulle(t, args);
    const name = `tulle ${args.join(' ')}`;
    t.equal(found.status, status, `${name}: exit code`);
    if (stdout === undefined) t.equal(found.stdout, '', `${name}: nothing on standard output`);
    else t.match(found.stdout, stdout, `${name}: standard output`);
    if (stderr === undefined) t.equal(found.stderr, '', `${name}: nothing on standard error`);
    else t.match(found.stderr, stderr, `${name}: standard error`);
  }
});

t.test('tulle check', async (t) => {
  const folder = temporaryFolder(t);
  const write = (name: string, text: string): string => {
    const file = path.join(folder, name);
    writeFileSync(file, text);
    return file;
  };
  const good = write(
    'good.yaml',
    `listeners: { web: { address: "127.0.0.1:18080" } }
services: { api: { endpoints: ["127.0.0.1:19001"] } }
routes: [{ name: all, rules: [{ backends: [{ service: api }] }] }]
`,
  );
  const bad = write(
    'bad.yaml',
    `listeners:
  web: { address: "127.0.0.1:18080", colour: red }
services: { api: { endpoints: ["127.0.0.1:19001"] } }
routes:
  - name: all
    rules:
      - backends: [{ service: apy }]
`,
  );

  t.test('prints ok for each file that is', async (t) => {
    t.match(await runTulle(t, ['check', good]), { status: 0, stdout: `${good}  ok\n`, stderr: '' });
  });
  t.test('prints every problem with its place', async (t) => {
    const { status, stdout } = await runTulle(t, ['check', good, bad]);
    t.equal(status, 1);
    const lines = stdout.trimEnd().split('\n');
    t.equal(lines[0], `${good}  ok`);
    t.equal(lines[1]?.startsWith(`${bad}:2:38  UNKNOWN_KEY  `), true, lines.join());
    t.equal(lines[2]?.startsWith(`${bad}:7:31  UNKNOWN_SERVICE  `), true, lines.join());
    t.equal(lines.length, 3);
  });
  t.test('prints JSON', async (t) => {
    for (const args of [
      ['--json', 'check', bad, good],
      ['check', bad, good, '--json'],
    ]) {
      const { status, stdout } = await runTulle(t, args);
      t.equal(status, 1);
      t.match(JSON.parse(stdout), {
        files: [
          {
            file: bad,
            ok: false,
            diagnostics: [{ code: 'UNKNOWN_KEY', line: 2, column: 38 }, { code: 'UNKNOWN_SERVICE' }],
          },
          { file: good, ok: true, diagnostics: [] },
        ],
      });
    }
  });
  t.test('a file that is not there', async (t) => {
    const { status, stdout } = await runTulle(t, ['check', path.join(folder, 'none.yaml')]);
    t.equal(status, 1);
    t.match(stdout, /none\.yaml {2}UNREADABLE {2}there is no such file\n$/);
  });
});

t.test('a reader that goes away is no failure', async (t) => {
  const { status, stderr } = await start(t, [
    'sh',
    '-c',
    '"$0" "$1" --help | true',
    process.execPath,
    tulleMain,
  ]).ended;
  t.equal(status, 0);
  t.equal(stderr, '');
});

t.test('the benchmark belongs to a checkout and takes its own options', async (t) => {
  const { status, stdout, stderr } = await runTulle(t, ['bench', '--help']);
  t.equal(status, 0, stderr);
  t.match(stdout, /--only/);
});
