/**
 * Git's own lock files in a mirror. Other processes hold them for milliseconds, so a command that meets one is
 * run again; one that is old was left by a git that was killed with its machine, and is removed.
 */
import { rm, stat } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GitError } from './errors.ts';

const TRIES = 6;
const FIRST_PAUSE_MS = 50;
const STALE_MS = 60_000;

export async function retryOnLock<T>(dir: string, body: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await body();
    } catch (error) {
      const lock = error instanceof GitError ? lockIn(dir, error.output) : null;
      if (lock === null || attempt === TRIES) throw error;
      if (await isStale(lock)) await rm(lock, { force: true });
      else await sleep(FIRST_PAUSE_MS * 2 ** attempt);
    }
  }
}

/** The lock file below `dir` that git could not make, according to its message. */
function lockIn(dir: string, output: string): string | null {
  const named = /Unable to create '([^'\n]+\.lock)': File exists/.exec(output)?.[1];
  if (named === undefined) return null;
  const path = isAbsolute(named) ? named : join(dir, named);
  const inside = relative(dir, path);
  return inside.startsWith('..') || isAbsolute(inside) ? null : path;
}

async function isStale(path: string): Promise<boolean> {
  try {
    return Date.now() - (await stat(path)).mtimeMs > STALE_MS;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
