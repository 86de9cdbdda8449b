/** The processes of a command, where no group counts them: its descendants, as /proc has them. */
import { readdir, readFile } from 'node:fs/promises';

/** Threads are counted, as RLIMIT_NPROC does. */
export type Processes = { threads: number; memoryMb: number };

/** Counting stops here: whoever has so many is over any limit. */
const MAX = 20_000;
const PAGE_MB = 4_096 / 1_048_576;

/** @param pid of the command's first process. Resident memory, with what is shared counted for each. */
export async function countProcesses(pid: number): Promise<Processes> {
  const found = { threads: 0, memoryMb: 0 };
  const open = [pid];
  for (let next = open.pop(); next !== undefined && found.threads < MAX; next = open.pop()) {
    const tasks = await readdir(`/proc/${next}/task`).catch(() => []);
    found.threads += tasks.length;
    const statm = tasks.length === 0 ? undefined : await text(`/proc/${next}/statm`);
    found.memoryMb += Number(statm?.split(' ')[1] ?? 0) * PAGE_MB;
    for (const task of tasks) {
      const children = await text(`/proc/${next}/task/${task}/children`);
      for (const child of children.split(' ')) if (child !== '') open.push(Number(child));
    }
  }
  return found;
}

/** What has ended meanwhile has nothing. */
const text = (path: string): Promise<string> => readFile(path, 'latin1').catch(() => '');
