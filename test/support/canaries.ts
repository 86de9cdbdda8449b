/** Secrets that must be nowhere, and the search for them in every form in which they might be written. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Canary = { name: string; value: string };

/** Has characters that base64 and URLs write differently. */
export const canary = (name: string): Canary => ({ name, value: `cnry/${randomBytes(9).toString('hex')}+${name}=` });

/** As it is, URL-encoded, as hex, and as base64 of any text that it is a part of. */
export function formsOf(value: string): string[] {
  const bytes = Buffer.from(value);
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // Characters at both ends hold bits of their neighbours.
    return text.slice(offset === 0 ? 0 : offset + 1, -1);
  });
  const url = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  return [...new Set([value, encodeURIComponent(value), bytes.toString('hex'), ...base64, ...url])];
}

/** Names of the canaries that are in it. */
export function canariesIn(haystack: string | Buffer, canaries: readonly Canary[]): string[] {
  const text = typeof haystack === 'string' ? haystack : haystack.toString('latin1');
  return canaries.flatMap(({ name, value }) => (formsOf(value).some((form) => text.includes(form)) ? [name] : []));
}

/** `path: name` for each file below the folder, links not followed. */
export function canariesBelow(folder: string, canaries: readonly Canary[]): string[] {
  return filesBelow(folder).flatMap((path) =>
    canariesIn(readFileSync(path), canaries).map((name) => `${path}: ${name}`),
  );
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory() === true) return filesBelow(path);
    return stat?.isFile() === true ? [path] : [];
  });
}

/** Content of every object of a repository, whether a ref has it or not. */
export function allObjects(dir: string): Buffer {
  const { stdout, status, stderr } = spawnSync('git', ['cat-file', '--batch', '--batch-all-objects'], {
    cwd: dir,
    maxBuffer: 512 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`the objects of ${dir} cannot be read: ${stderr.toString()}`);
  return stdout;
}
