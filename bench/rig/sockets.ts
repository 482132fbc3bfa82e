// Who listens where, read from /proc: so that a measurement never reaches a stray process that shares a port.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A listening TCP socket. */
export interface Listening {
  readonly port: number;
  readonly inode: number;
}

const LISTEN = '0A';

/** The listening sockets of one table in the format of /proc/net/tcp. */
export function parseListening(table: string): Listening[] {
  return table
    .split('\n')
    .filter((line) => line.includes(` ${LISTEN} `)) // first, because there may be thousands of others
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === LISTEN)
    .map((fields) => ({
      port: Number.parseInt(fields[1]?.split(':')[1] ?? '', 16),
      inode: Number(fields[9]),
    }));
}

/** Every listening TCP socket of this machine, IPv4 and IPv6. */
export function listening(): Listening[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => parseListening(textOf(file)));
}

/** The socket inodes that a process holds. */
export function socketsOf(pid: number): Set<number> {
  const inodes = new Set<number>();
  for (const name of namesIn(`/proc/${pid}/fd`)) {
    const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${name}`))?.[1];
    if (inode !== undefined) inodes.add(Number(inode));
  }
  return inodes;
}

/** What is wrong with the listeners of a port that these processes alone should hold, once; undefined: nothing. */
export function strayListener(port: number, pids: readonly number[]): string | undefined {
  const found = listening().filter((socket) => socket.port === port);
  if (found.length !== 1) return `${found.length} sockets listen on port ${port}, not one`;
  const own = pids.some((pid) => found.every((socket) => socketsOf(pid).has(socket.inode)));
  return own ? undefined : `another process listens on port ${port}`;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function linkOf(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}
