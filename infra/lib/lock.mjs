import { mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const BEAT_MS = 2_000;
/** A holder that has not touched its lock for so long is taken for dead, wherever it ran. */
const STALE_MS = 30_000;

/**
 * Runs `work` while holding a lock file that other processes honour, and waits for it as long as its holder is
 * alive. A lock whose holder is dead (its process is gone on this host, or it stopped touching the file) is
 * taken over.
 *
 * @template T
 * @param {string} file
 * @param {() => Promise<T>} work
 * @param {{ onWait?: (holder: string) => void, pollMs?: number, staleMs?: number }} [options]
 * @returns {Promise<T>}
 */
export async function withLock(file, work, { onWait, pollMs = 250, staleMs = STALE_MS } = {}) {
  await mkdir(dirname(file), { recursive: true });
  let said = false;
  while (!(await tryCreate(file))) {
    const holder = await readHolder(file);
    if (holder === null) continue; // it was released in between
    if (await isDead(file, holder, staleMs)) {
      await takeAway(file, holder);
      continue;
    }
    if (!said) onWait?.(holder);
    said = true;
    await sleep(pollMs);
  }
  const beat = setInterval(() => void utimes(file, new Date(), new Date()).catch(() => undefined), BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    await rm(file, { force: true });
  }
}

/** @param {string} file */
async function tryCreate(file) {
  try {
    const handle = await open(file, 'wx');
    await handle.writeFile(`${hostname()} ${process.pid} ${Date.now()}`);
    await handle.close();
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * @param {string} file
 * @returns {Promise<string | null>} null: there is no lock
 */
async function readHolder(file) {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * @param {string} file
 * @param {string} holder
 * @param {number} staleMs
 */
async function isDead(file, holder, staleMs) {
  const [host, pid] = holder.split(' ');
  if (host === hostname() && pid !== undefined && !isAlive(Number(pid))) return true;
  const info = await stat(file).catch(() => null);
  return info !== null && Date.now() - info.mtimeMs > staleMs;
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/**
 * Renames first, so that of two processes that found the same dead holder only one removes it; a lock that was
 * taken anew in between is put back.
 *
 * @param {string} file
 * @param {string} holder
 */
async function takeAway(file, holder) {
  const aside = `${file}.${process.pid}.dead`;
  try {
    await rename(file, aside);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw error;
  }
  if ((await readHolder(aside)) === holder) await rm(aside, { force: true });
  else await rename(aside, file);
}
