/**
 * One process at a time per path, also across containers that share a folder: the holder touches the lock file
 * and one that has not been touched for long is stale. Only a courtesy against double work: whoever holds it
 * must still finish atomically, because a holder that was stopped for long loses the lock without knowing.
 */
import { randomUUID } from 'node:crypto';
import { open, rename, rm, stat, utimes } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const TOUCH_MS = 5_000;
const STALE_MS = 30_000;
const POLL_MS = 100;

export async function withFolderLock<T>(path: string, body: () => Promise<T>): Promise<T> {
  while (!(await tryTake(path))) {
    await removeStale(path);
    await sleep(POLL_MS);
  }
  const touching = setInterval(() => {
    const now = new Date();
    // A lock that was taken over is the other's to touch; a missing one is made again by nobody.
    utimes(path, now, now).catch(() => undefined);
  }, TOUCH_MS);
  touching.unref();
  try {
    return await body();
  } finally {
    clearInterval(touching);
    await rm(path, { force: true });
  }
}

async function tryTake(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(`${process.pid}\n`);
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function removeStale(path: string): Promise<void> {
  try {
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs < STALE_MS) return;
    // By a rename, which only one of those who wait can do.
    const aside = `${path}.${randomUUID()}`;
    await rename(path, aside);
    await rm(aside, { force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
