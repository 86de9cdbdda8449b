/**
 * A sandbox's newest checkpoint as its new objects, hard links into a folder of the host's state: no process and no
 * copy. Invariant: an object that is here has all that it names here, or in the mirror.
 */
import { constants as bufferConstants } from 'node:buffer';
import { createHash } from 'node:crypto';
import { copyFileSync, linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CommitSha } from '../../../shared/ids.ts';
import { isMissing } from '../state/files.ts';
import type { CheckpointPack } from './kept-packs.ts';
import {
  encodePack,
  entriesOf,
  type GitObject,
  hasLoose,
  looseFile,
  readLoose,
  sizeOfLoose,
  writeLoose,
} from './loose-objects.ts';

/** Others get their turn after so many objects. */
const AT_ONCE = 200;

/** What the host made of a tree: a commit's content, and the content of those of its trees that are in no folder yet, by name. */
export type KeptCommit = {
  content: Buffer;
  tree: string;
  parents: readonly CommitSha[];
  made?: ReadonlyMap<string, Buffer>;
};

const hashOf = (name: string): 'sha1' | 'sha256' => (name.length === 64 ? 'sha256' : 'sha1');

function nameOfCommit({ content, tree }: Pick<KeptCommit, 'content' | 'tree'>): CommitSha {
  const hash = createHash(hashOf(tree)).update(`commit ${content.length}\0`).update(content);
  return CommitSha.parse(hash.digest('hex'));
}

/** More than `maxBytes` of new objects. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge';
}

const tooLarge = (maxBytes: number) => new TooLarge(`File too large: more than ${maxBytes} bytes are new`);

/**
 * Keeps a commit in place of the one before.
 * @param folder of this sandbox. @param objects of the git folder in which the tree was made.
 * @returns also the bytes, unpacked, of what is new.
 * @throws TooLarge when these are more than `maxBytes`.
 */
export async function keepTree(
  folder: string,
  objects: string,
  kept: KeptCommit,
  maxBytes: number,
): Promise<{ commit: CommitSha; bytes: number }> {
  const [to, taken] = [join(folder, NEW), join(folder, TAKEN)];
  let seen = 0;
  let bytes = 0;
  const keep = async (name: string, isTree: boolean): Promise<void> => {
    const file = join(to, name);
    if (hasLoose(file) || hasLoose(join(taken, name))) return;
    const made = isTree ? kept.made?.get(name) : undefined;
    // What is in none of these folders is in the mirror, on which the git folder stands.
    const from = looseFile(objects, name);
    if (made === undefined && !hasLoose(from)) return;
    if (++seen % AT_ONCE === 0) await nextTurn();
    if (made !== undefined) {
      bytes += made.length;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      for (const entry of entriesOf(made, bytesOf(kept.tree))) await keep(entry.name, entry.isTree);
      writeLoose(file, { type: 'tree', data: made });
      return;
    }
    bytes += sizeOfLoose(from);
    if (!(bytes <= maxBytes)) throw tooLarge(maxBytes);
    if (isTree) {
      const { data } = await readLoose(from, maxBytes);
      for (const entry of entriesOf(data, bytesOf(kept.tree))) await keep(entry.name, entry.isTree);
    }
    link(from, file);
  };
  mkdirSync(to, { recursive: true, mode: 0o700 });
  await keep(kept.tree, true);
  const commit = nameOfCommit(kept);
  const names = await namesIn(folder);
  // Without the thread pool, see state/files.ts.
  writeFileSync(join(folder, `${commit}${COMMIT}`), kept.content);
  for (const old of names)
    if (old.endsWith(COMMIT) && old !== `${commit}${COMMIT}`) rmSync(join(folder, old), { force: true });
  return { commit, bytes };
}

/** The commit with all that is new of its tree as a pack, and its objects' names; null when this folder does not keep it. */
export async function packTree(
  folder: string,
  commit: CommitSha,
): Promise<{ packed: CheckpointPack; names: readonly string[] } | null> {
  const content = await readFile(join(folder, `${commit}${COMMIT}`)).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (content === null) return null;
  const [, tree = ''] = /^tree ([0-9a-f]+)\n/.exec(content.toString('latin1')) ?? [];
  if (tree === '' || nameOfCommit({ content, tree }) !== commit)
    throw new Error(`${folder} does not keep commit ${commit} whole`);
  const parents = [...content.toString('latin1').matchAll(/^parent ([0-9a-f]+)$/gm)];
  const from = join(folder, NEW);
  const objects: GitObject[] = [{ type: 'commit', data: content }];
  const seen = new Set<string>();
  const add = async (name: string): Promise<void> => {
    const file = join(from, name);
    if (seen.has(name) || !hasLoose(file)) return;
    seen.add(name);
    const object = await readLoose(file, bufferConstants.MAX_LENGTH);
    objects.push(object);
    if (object.type !== 'tree') return;
    for (const entry of entriesOf(object.data, bytesOf(tree))) await add(entry.name);
  };
  await add(tree);
  const builtOn = parents.map(([, parent]) => CommitSha.parse(parent));
  return { packed: { commit, builtOn, pack: await encodePack(objects, hashOf(tree)) }, names: [...seen] };
}

/** The mirror has these, and all that they name. */
export function markTaken(folder: string, names: readonly string[]): void {
  mkdirSync(join(folder, TAKEN), { recursive: true, mode: 0o700 });
  for (const name of names) renameSync(join(folder, NEW, name), join(folder, TAKEN, name));
}

/** Each a flat folder, where git has two levels: a sandbox's are few. */
const NEW = 'new';
const TAKEN = 'taken';

const COMMIT = '.commit';
const bytesOf = (name: string): 20 | 32 => (name.length === 64 ? 32 : 20);

function link(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    // Another file system, or too many links.
    if (code !== 'EXDEV' && code !== 'EMLINK' && code !== 'EPERM') throw error;
    copyFileSync(from, `${to}.part`);
    renameSync(`${to}.part`, to);
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
}
