/** Small JSON files of the host that must survive a kill at any moment. */
import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import type { z } from 'zod';

/**
 * Written beside, renamed: a reader sees the old or the new, never a half, also when we are killed. With `sync` the
 * same holds for a power cut; what is worth nothing without its sandbox does without, and without the thread pool: a
 * kilobyte for the page cache takes 30 µs of this thread, and by way of the pool ten times as much CPU. ENOENT when
 * the folder is gone.
 */
export async function writeJson(path: string, value: unknown, { sync = true } = {}): Promise<void> {
  const text = JSON.stringify(value);
  const beside = `${path}.${randomUUID()}`;
  if (!sync) {
    writeFileSync(beside, text, { flag: 'wx' });
    renameSync(beside, path);
    return;
  }
  const file = await open(beside, 'wx');
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
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
