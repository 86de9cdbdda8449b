/** The processes of a command, where no group counts them: its descendants, as /proc has them. */
import { readdir, readFile, readlink, stat } from 'node:fs/promises';

/** Threads are counted, as RLIMIT_NPROC does. */
export type ProcessUsage = { threads: number; memoryMb: number };

/** Counting stops here: whoever has so many is over any limit. */
const MAX = 20_000;
const PAGE_MB = 4_096 / 1_048_576;

/**
 * @param pid of the command's first process. Resident memory, with what is shared counted for each; with `files`
 *   also what they hold open in files of memory (memfd_create), each of which counts once.
 */
export async function countProcesses(pid: number, { files }: { files: boolean }): Promise<ProcessUsage> {
  const found = { threads: 0, memoryMb: 0 };
  const seen = new Set<number>();
  const open = [pid];
  for (let next = open.pop(); next !== undefined && found.threads < MAX; next = open.pop()) {
    const tasks = await readdir(`/proc/${next}/task`).catch(() => []);
    found.threads += tasks.length;
    const statm = tasks.length === 0 ? undefined : await text(`/proc/${next}/statm`);
    found.memoryMb += Number(statm?.split(' ')[1] ?? 0) * PAGE_MB;
    for (const { inode, mb } of files ? await memoryFiles(next) : []) {
      if (!seen.has(inode)) found.memoryMb += mb;
      seen.add(inode);
    }
    for (const task of tasks) {
      const children = await text(`/proc/${next}/task/${task}/children`);
      for (const child of children.split(' ')) if (child !== '') open.push(Number(child));
    }
  }
  return found;
}

async function memoryFiles(pid: number): Promise<{ inode: number; mb: number }[]> {
  const found: { inode: number; mb: number }[] = [];
  for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
    const path = `/proc/${pid}/fd/${fd}`;
    if (!(await readlink(path).catch(() => '')).startsWith('/memfd:')) continue;
    const { ino = 0, blocks = 0 } = (await stat(path).catch(() => undefined)) ?? {};
    found.push({ inode: ino, mb: blocks / 2_048 });
  }
  return found;
}

/** What has ended meanwhile has nothing. */
const text = (path: string): Promise<string> => readFile(path, 'latin1').catch(() => '');
