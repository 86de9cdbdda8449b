/** What a sandbox's folder holds. Counted by `du`: blocks, so sparse files are what they are, and hard links once. */
import { statfsSync } from 'node:fs';
import type { RunProcess } from '../../../process/run-process.ts';

const MIB = 1_048_576;
/** A measurement that takes longer is not worth its CPU. */
const TIMEOUT_MS = 60_000;

/** Of the file system, as statfs(2) tells. */
export type FreeSpace = { mb: number; files: number };

export function freeSpace(folder: string): FreeSpace {
  // Without the thread pool, see json-files.ts.
  const { bavail, bsize, ffree, type } = statfsSync(folder);
  // btrfs makes inodes as it needs them and tells of none.
  return { mb: Math.floor((bavail * bsize) / MIB), files: type === BTRFS ? Number.MAX_SAFE_INTEGER : ffree };
}
const BTRFS = 0x9123_683e;

/**
 * @param bwrap where the worker is no root, folders that the agent made unreadable are looked into with the rights
 *   of their owner over a user namespace.
 * @returns null when it could not be counted, because the folder is gone or it took too long.
 */
export async function measure(
  start: RunProcess,
  folder: string,
  what: 'mb' | 'files',
  bwrap?: string,
): Promise<number | null> {
  const du = ['du', '-s', '-x', ...(what === 'mb' ? ['--block-size=1'] : ['--inodes']), '--'];
  const run = (argv: string[]) =>
    start(argv, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }, timeoutMs: TIMEOUT_MS });
  let ran = await run([...du, folder]);
  if (ran.exitCode !== 0 && bwrap !== undefined && /Permission denied/.test(ran.stderr)) {
    const rights = ['--unshare-user', '--uid', '0', '--gid', '0', '--cap-add', 'CAP_DAC_READ_SEARCH'];
    ran = await run([bwrap, ...rights, '--ro-bind', '/', '/', '--die-with-parent', '--', ...du, folder]);
  }
  // Files that went meanwhile make it fail, with the sum of the others.
  const counted = /^(\d+)\t/m.exec(ran.stdout.toString('latin1'))?.[1];
  if (ran.reason !== 'exit' || counted === undefined) return null;
  return what === 'mb' ? Number(counted) / MIB : Number(counted);
}
