// HTTP/2 in, HTTP/1 out: nothing that an HTTP/1 upstream could misread reaches it.

import t from 'tap';
import { freePorts } from '../ports.js';
import type { Scope } from '../process.js';
import { DOWNGRADES, type Downgrade } from './downgrade-requests.js';
import { get, headers, type Outcome, Peer } from './frames.js';
import { simple, startProxy, untilDeserted } from './rig.js';
import { type Got, Recorder } from './wire.js';

/** A request that shows that the connection, or a fresh one, serves. */
const NEXT = 'GET /next HTTP/1.1';

function judge(row: Downgrade, { statuses, body, how }: Outcome, say: (text: string) => void): void {
  const told = `${statuses.join()} ${how} ${JSON.stringify(body)}`;
  if (typeof row.seen === 'number') {
    if (statuses.at(-1) !== row.seen || statuses.length !== 1 || how !== 'end') say(`was told ${told}`);
  } else if (how === 'end' || how === 0 || statuses.some((status) => status < 400)) say(`was told ${told}`);
}

function compare(row: Downgrade, got: readonly Got[], say: (text: string) => void): void {
  const shown = got.map(({ line, fields, body, whole }) => JSON.stringify([line, ...fields, body, whole]));
  if (row.upstream === 'cut') {
    for (const { line, whole } of got) if (whole) say(`the upstream took ${line} for whole`);
    if (got.length > 1) say(`upstream got ${shown.join()}`);
  } else if (row.upstream === 'nothing') {
    if (got.length > 0) say(`upstream got ${shown.join()}`);
  } else {
    const { head, body = '', maybe = false } = row.upstream;
    const expected = JSON.stringify([...head, body, true]);
    if (shown.join() !== expected && !(maybe && got.length === 0)) {
      say(`upstream got ${shown.join()} instead of ${expected}`);
    }
  }
}

/** Goes through one row; what went wrong. */
async function downgrade(
  scope: Scope,
  { recorder, port, row }: { recorder: Recorder; port: number; row: Downgrade },
): Promise<string[]> {
  const wrong: string[] = [];
  const say = (text: string): number => wrong.push(text);
  recorder.flush();
  const peer = await Peer.connect(scope, port);
  await peer.send(...row.send);
  judge(row, await peer.outcome(1), say);
  await peer.send(headers(5, get('/next')));
  const again = await peer.outcome(5);
  if (again.how !== 'goaway' && again.statuses.join() !== '200')
    say(`then was told ${again.statuses} ${again.how}`);
  if (again.how === 'goaway' && row.seen !== 'broken') say('the connection ended');
  peer.socket.destroy();
  // Whatever was forwarded is there once a request behind it is.
  const last = await Peer.connect(scope, port);
  await last.send(headers(1, get('/next')));
  await last.outcome(1);
  last.socket.destroy();
  const got = recorder.flush();
  compare(
    row,
    got.filter(({ line }) => line !== NEXT),
    say,
  );
  for (const { line, fields, body } of got.filter((one) => one.line === NEXT)) {
    if (fields.join() !== 'Host: a' || body !== '') say(`upstream got ${line} ${fields} ${body}`);
  }
  for (const bytes of recorder.garbage.splice(0)) say(`upstream got ${JSON.stringify(bytes)}`);
  return wrong;
}

t.test('requests: what HTTP/1 cannot say reaches nobody', async (t) => {
  const [port = 0, upstream = 0] = await freePorts(2);
  const recorder = await Recorder.start(t, { listen: upstream });
  const proxy = await startProxy(t, simple(port, [`127.0.0.1:${upstream}`]));
  t.ok(DOWNGRADES.length >= 200, `${DOWNGRADES.length} rows`);
  t.equal(new Set(DOWNGRADES.map(({ name }) => name)).size, DOWNGRADES.length, 'names tell rows apart');
  for (const row of DOWNGRADES) {
    const failed = (cause: unknown): string[] => [String(cause)];
    t.same(await downgrade(t, { recorder, port, row }).catch(failed), [], row.name);
  }
  await untilDeserted(proxy);
});
