/** Which process listens on a port, as Linux tells it. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LISTENING = '0A';

/**
 * Whether one of a process's own sockets listens on the TCP port.
 * @returns null where the system does not tell (no /proc).
 */
export function listensOn(pid: number, port: number): boolean | null {
  let tables: string;
  let links: string[];
  try {
    tables = readFileSync('/proc/net/tcp', 'utf8') + readFileSync('/proc/net/tcp6', 'utf8');
    links = readdirSync(`/proc/${pid}/fd`).map((fd) => readLink(`/proc/${pid}/fd/${fd}`));
  } catch {
    return null;
  }
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = tables.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    return state === LISTENING && local.endsWith(`:${hexPort}`) ? [inode] : [];
  });
  return inodes.some((inode) => links.includes(`socket:[${inode}]`));
}

/** A file that was closed meanwhile leads nowhere. */
function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
