/** Deleting what an agent could write: read-only folders, huge trees, odd names. Never follows a link. */
import { mkdir, rename } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { basename, join } from 'node:path';
import { type RunProcess, runProcess } from '../../process/run-process.ts';

/** Takes the folder away at once (by a rename into `trash`), then deletes it. */
export async function removeTree(folder: string, trash: string, start: RunProcess = runProcess): Promise<void> {
  await mkdir(trash, { recursive: true });
  const away = join(trash, `${basename(folder)}.${randomUUID()}`);
  try {
    await rename(folder, away);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await deleteTree(away, start);
}

export async function deleteTree(folder: string, start: RunProcess = runProcess): Promise<void> {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
  const run = (argv: string[]) => start(argv, { env, timeoutMs: 10 * 60_000 });
  if ((await run(['rm', '-rf', '--', folder])).exitCode === 0) return;
  await run(['find', folder, '-type', 'd', '!', '-perm', '-u=rwx', '-exec', 'chmod', 'u+rwx', '{}', ';']);
  const last = await run(['rm', '-rf', '--', folder]);
  if (last.exitCode !== 0) throw new Error(`could not delete ${folder}: ${last.stderr.trim().slice(-500)}`);
}
