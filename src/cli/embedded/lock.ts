/**
 * One supervisor per state folder. The lock is SQLite's own on a file of its own: the kernel holds it, so it
 * ends with its process however that ends, and no stale lock has to be told from a live one.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const SQLITE_BUSY = 5;

/** The right to start and stop the server and worker of a state folder. */
export type SupervisorLock = { readonly path: string; release(): void };

/** The lock, or null when another process (or another holder in this one) has it. */
export function trySupervisorLock(path: string): SupervisorLock | null {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return null;
    throw new Error(`Locking ${path} failed: ${(error as Error).message}. Check that the folder can be written.`, {
      cause: error,
    });
  }
  let held = true;
  return {
    path,
    release() {
      if (held) database.close();
      held = false;
    },
  };
}
