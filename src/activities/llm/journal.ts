/**
 * What an LLM call was asked and answered, on the host's disk before it is needed: a hint for the attempt after a crash,
 * not a store. Without it a call is made again, so nothing here fails a call.
 */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { readdir, stat, unlink } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { isMissing, overwriteJson, readJson } from '../support/json-files.ts';
import type { Log } from '../support/log.ts';

/** Longer than a server is down. */
const KEEP_MS = 7 * 24 * 3_600_000;
const PRUNE_EVERY_MS = 3_600_000;

type Entry<T> = { version: 1; key: string; result: T };

export interface Journal<T> {
  /** @param asker whose entry it is. @param key names the question. */
  read(asker: string, key: string): Promise<T | null>;
  /**
   * In its place when it resolves; a power cut while it is written may leave a half, which is not read. An asker's last
   * entry is enough: it asks again only when the one before is in its history.
   */
  write(asker: string, key: string, result: T): Promise<void>;
}

/** @param dir of entries of this kind alone; made when needed. */
export function createJournal<T>(dir: string, result: z.ZodType<T>, log: Log): Journal<T> {
  const Entry = z.object({ version: z.literal(1), key: z.string(), result });
  let prunedAt = 0;
  const fileOf = (asker: string): string => path.join(dir, `${createHash('sha256').update(asker).digest('hex')}.json`);

  async function pruneSometimes(): Promise<void> {
    if (Date.now() - prunedAt < PRUNE_EVERY_MS) return;
    prunedAt = Date.now();
    await prune(dir, Date.now() - KEEP_MS);
  }

  return {
    async read(asker, key) {
      const file = fileOf(asker);
      try {
        const entry = await readJson(file, Entry);
        return entry?.key === key ? entry.result : null;
      } catch (error) {
        log.warn({ err: error, file }, 'a journal cannot be read: what is in it is done again');
        return null;
      }
    },
    async write(asker, key, result) {
      try {
        writeEntry(dir, fileOf(asker), { version: 1, key, result });
        await pruneSometimes();
      } catch (error) {
        log.warn({ err: error, dir }, 'a journal cannot be written: if this worker dies now, a call is made again');
      }
    },
  };
}

function writeEntry<T>(dir: string, file: string, entry: Entry<T>): void {
  try {
    overwriteJson(file, entry);
  } catch (error) {
    if (!isMissing(error)) throw error;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    overwriteJson(file, entry);
  }
}

/** Removes entries that are older than `before` (ms since the epoch). */
async function prune(dir: string, before: number): Promise<void> {
  for (const name of await readdir(dir)) {
    if (!/^[0-9a-f]{64}\.json(\.[0-9a-f-]+(\.partial)?)?$/.test(name)) continue;
    const file = path.join(dir, name);
    const found = await stat(file).catch(() => null);
    if (found !== null && found.mtimeMs < before) await unlink(file).catch(() => undefined);
  }
}
