/**
 * The one lock file: for set-up, which runs before anything is installed, and for the worker. Only a courtesy against
 * double work: a holder that was stopped for long loses the lock without knowing, so what it makes must still be
 * finished atomically.
 */
import { randomUUID } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning } from './processes.mjs';

const BEAT_MS = 2_000;
/** A holder that has not touched its lock for so long is taken for dead, wherever it ran. */
const STALE_MS = 30_000;

/**
 * Runs `work` while holding a lock file that other processes honour, and waits for it as long as its holder is
 * alive. A lock whose holder is dead (its process is gone on this host, or it stopped touching the file, as one in
 * another container that shares the folder) is taken over.
 *
 * @template T
 * @param {string} file
 * @param {() => Promise<T>} work
 * @param {{ onWait?: (holder: string) => void, pollMs?: number, staleMs?: number }} [options]
 * @returns {Promise<T>}
 */
export async function withLock(file, work, { onWait, pollMs = 250, staleMs = STALE_MS } = {}) {
  await mkdir(dirname(file), { recursive: true });
  const own = `${here()} ${process.pid} ${randomUUID()}`;
  let said = false;
  while (!(await tryCreate(file, own))) {
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
  // One that was taken over is the other's, to touch and to remove.
  const isOwn = async () => (await readHolder(file)) === own;
  const touch = async () => {
    if (await isOwn()) await utimes(file, new Date(), new Date());
  };
  const beat = setInterval(() => void touch().catch(() => undefined), BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    if (await isOwn()) await rm(file, { force: true });
  }
}

/** Where a process number means a process: containers may share the name of their host. */
function here() {
  try {
    return `${hostname()}/${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

/**
 * @param {string} file
 * @param {string} own
 */
async function tryCreate(file, own) {
  try {
    const handle = await open(file, 'wx');
    await handle.writeFile(own);
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
  if (host === here() && pid !== undefined && !isRunning(Number(pid))) return true;
  const info = await stat(file).catch(() => null);
  return info !== null && Date.now() - info.mtimeMs > staleMs;
}

/**
 * Renames first, so that of two processes that found the same dead holder only one removes it; a lock that was
 * taken anew in between is put back.
 *
 * @param {string} file
 * @param {string} holder
 */
async function takeAway(file, holder) {
  const aside = `${file}.${randomUUID()}.dead`;
  try {
    await rename(file, aside);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw error;
  }
  if ((await readHolder(aside)) === holder) await rm(aside, { force: true });
  else await rename(aside, file);
}
