/** Small JSON files of the host that must survive a kill at any moment. */
import { randomUUID } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import type { z } from 'zod';

/** Written beside, synced, renamed: a reader sees the old or the new, also after a power cut. ENOENT when the folder is gone. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  const text = JSON.stringify(value);
  const beside = `${path}.${randomUUID()}`;
  const file = await open(beside, 'wx');
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
}

/** Linux divides a write at pages, so that a kill may fall between. */
const PAGE = 4_096;

/**
 * For what changes with every turn and is worth little after a power cut: whole also after a kill, but not after a
 * power cut. What fits into a page is written over the old text, padded to its length. Neither new file nor rename,
 * and not by way of the thread pool: a kilobyte for the page cache takes 30 µs of this thread, the detour ten times
 * as much CPU. ENOENT when the folder is gone.
 */
export function overwriteJson(path: string, value: unknown): void {
  const text = Buffer.from(JSON.stringify(value));
  if (text.length <= PAGE && overwritten(path, text)) return;
  const beside = `${path}.${randomUUID()}`;
  writeFileSync(beside, text, { flag: 'wx', mode: 0o600 });
  renameSync(beside, path);
}

/** Whether there was such a file, of at most a page. */
function overwritten(path: string, text: Buffer): boolean {
  let file: number;
  try {
    file = openSync(path, 'r+');
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  try {
    const { size } = fstatSync(file);
    if (size > PAGE) return false;
    const padded = Buffer.alloc(Math.max(text.length, size), ' ');
    text.copy(padded);
    if (writeSync(file, padded, 0, padded.length, 0) !== padded.length)
      throw new Error(`${path} could not be written whole: is its disk full?`);
    return true;
  } finally {
    closeSync(file);
  }
}

/** null when there is no such file. @throws when it does not fit its schema. */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
  return schema.parse(JSON.parse(text));
}

export const isMissing = (error: unknown): boolean => {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ENOENT' || code === 'ENOTDIR';
};
