/** Commit objects as `git commit-tree` writes them, byte for byte, without a process each. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import type { Author } from '../../shared/contracts/merge.ts';
import { CommitSha } from '../../shared/base/ids.ts';

export type NewCommit = {
  tree: string;
  parents: readonly CommitSha[];
  message: string;
  /** Also the committer. */
  author: Author;
  /** Whole seconds count; the time zone is +0000. */
  at: Date;
};

/** As git takes and writes a date: seconds since 1970. */
export const rawDate = (at: Date): string => `${Math.floor(at.getTime() / 1_000)} +0000`;

/** Of any other name git takes characters away, by rules that its versions do not share. */
const PLAIN_NAME = /^[\p{L}\p{N}](?:[^\p{C}<>]*[\p{L}\p{N}])?$/u;
/** NUL ends a message; what git does not count as UTF-8 it writes otherwise. */
const ODD_TEXT = /\0|\p{Noncharacter_Code_Point}/u;

/** @returns the object's content; null where git would not take the parts as they are, so that git is to be asked. */
export function commitContent({ tree, parents, message, author, at }: NewCommit): Buffer | null {
  const { name, email } = author;
  const plain =
    PLAIN_NAME.test(name) &&
    PLAIN_NAME.test(email) &&
    message.isWellFormed() &&
    !ODD_TEXT.test(`${name}${email}${message}`) &&
    new Set(parents).size === parents.length;
  if (!plain) return null;
  const who = `${name} <${email}> ${rawDate(at)}`;
  const header = [`tree ${tree}`, ...parents.map((parent) => `parent ${parent}`), `author ${who}`, `committer ${who}`];
  return Buffer.from(`${header.join('\n')}\n\n${message}`);
}

const compress = promisify(deflate);

/**
 * Writes a loose object (gitformat-loose: zlib of "commit <length>", NUL, content), whole or not at all.
 * @param dir the bare repository.
 */
export async function writeCommit(dir: string, content: Buffer, objectFormat: 'sha1' | 'sha256'): Promise<CommitSha> {
  const object = Buffer.concat([Buffer.from(`commit ${content.length}\0`), content]);
  const name = createHash(objectFormat).update(object).digest('hex');
  const folder = join(dir, 'objects', name.slice(0, 2));
  const fresh = join(folder, `tmp_obj_${randomUUID()}`);
  await mkdir(folder, { recursive: true });
  await writeFile(fresh, await compress(object, { level: 1 }), { mode: 0o444, flag: 'wx' });
  await rename(fresh, join(folder, name.slice(2)));
  return CommitSha.parse(name);
}
