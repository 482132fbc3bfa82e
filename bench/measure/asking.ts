// Asks a proxy about itself at a steady pace, each time on a connection of its own as a kubelet or a scraper does, and
// watches its memory. In: a port, paths, processes; out: how many answers came in time.

import { request } from 'node:http';
import { memoryOf } from './memory.js';

/** What came of it. */
export interface Asked {
  readonly asked: number;
  /** Not answered with 200 in time. */
  readonly unanswered: number;
  /** The slowest answer, in milliseconds. */
  readonly slowestMs: number;
  /** The most resident memory that was seen, in bytes. */
  readonly rss: number;
}

/** Whom to ask, and what. */
export interface AskPlan {
  readonly port: number;
  readonly paths: readonly string[];
  readonly pids: readonly number[];
}

const EVERY_MS = 200;
const IN_TIME_MS = 1000;

/** Asks until it is stopped; what came of it. */
export function keepAsking({ port, paths, pids }: AskPlan): { stop(): Promise<Asked> } {
  let rss = 0;
  const answers: Promise<number>[] = [];
  const ask = () => {
    rss = Math.max(rss, rssOf(pids));
    for (const path of paths) answers.push(answerTime(port, path));
  };
  ask();
  const timer = setInterval(ask, EVERY_MS);
  return {
    stop: async () => {
      clearInterval(timer);
      const times = await Promise.all(answers);
      const inTime = times.filter((time) => time <= IN_TIME_MS);
      return {
        asked: times.length,
        unanswered: times.length - inTime.length,
        slowestMs: Math.max(0, ...inTime),
        rss,
      };
    },
  };
}

/** 0 when a process has ended: its silence tells of that. */
function rssOf(pids: readonly number[]): number {
  try {
    return memoryOf(pids).rss;
  } catch {
    return 0;
  }
}

/** Milliseconds until a whole answer of 200; infinite: there was none. */
function answerTime(port: number, path: string): Promise<number> {
  const since = performance.now();
  return new Promise((resolve) => {
    const failed = () => resolve(Number.POSITIVE_INFINITY);
    const asked = request(
      { host: '127.0.0.1', port, path, agent: false, timeout: IN_TIME_MS * 2 },
      (answer) => {
        answer.resume();
        answer.on('error', failed);
        answer.on('end', () => (answer.statusCode === 200 ? resolve(performance.now() - since) : failed()));
      },
    );
    asked.on('timeout', () => asked.destroy());
    asked.on('error', failed);
    asked.on('close', failed);
    asked.end();
  });
}
