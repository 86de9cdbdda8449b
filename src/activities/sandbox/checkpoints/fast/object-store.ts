/**
 * A sandbox's newest checkpoint: one file with its commit and the trees that the host made for it, and the other new
 * objects as hard links in a folder beside it. No process, no copy, and few new files, each of which costs a file system
 * more than its content. Invariant: what is named here is here, or in the mirror.
 */
import { constants as bufferConstants } from 'node:buffer';
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  copyFileSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CommitSha } from '../../../../shared/base/ids.ts';
import { isMissing } from '../../../support/json-files.ts';
import type { CheckpointPack } from '../checkpoint-pack.ts';
import { encodePack, entriesOf, type GitObject, hasLoose, looseFile, readLoose, sizeOfLoose } from './loose-objects.ts';

/** Others get their turn after so many objects. */
const AT_ONCE = 200;

/** What the host made of a tree: a commit's content, and the content of its trees by name. */
export type NewTree = {
  content: Buffer;
  tree: string;
  parents: readonly CommitSha[];
  made?: ReadonlyMap<string, Buffer>;
  /** What stays until this one is in its place: the sandbox's record names it. */
  before?: CommitSha;
  /** Objects that the mirror has, with all that they name: they are not looked for here. */
  known?: Pick<ReadonlySet<string>, 'has'>;
};

const hashOf = (name: string): 'sha1' | 'sha256' => (name.length === 64 ? 'sha256' : 'sha1');

const nameOf = (type: GitObject['type'], data: Buffer, hash: 'sha1' | 'sha256'): string =>
  createHash(hash).update(`${type} ${data.length}\0`).update(data).digest('hex');

const nameOfCommit = ({ content, tree }: Pick<NewTree, 'content' | 'tree'>): CommitSha =>
  CommitSha.parse(nameOf('commit', content, hashOf(tree)));

/** More than `maxBytes` of new objects. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge';
}

/** What was kept of a checkpoint is not there, or not whole. */
export class CheckpointLost extends Error {
  override readonly name = 'CheckpointLost';
}

const tooLarge = (maxBytes: number) => new TooLarge(`File too large: more than ${maxBytes} bytes are new`);

/**
 * Keeps a commit beside the one before, in place of older ones.
 * @param folder of this sandbox. @param objects of the git folder in which the tree was made.
 * @returns also the bytes, unpacked, of what is new.
 * @throws TooLarge when these are more than `maxBytes`.
 */
export async function storeObjects(
  folder: string,
  objects: string,
  next: NewTree,
  maxBytes: number,
): Promise<{ commit: CommitSha; bytes: number }> {
  const [to, taken] = [join(folder, NEW), join(folder, TAKEN)];
  const trees = new Map<string, Buffer>();
  let seen = 0;
  let bytes = 0;
  const keep = async (name: string, isTree: boolean): Promise<void> => {
    if (next.known?.has(name) === true || trees.has(name)) return;
    const file = join(to, name);
    if (hasLoose(file) || hasLoose(join(taken, name))) return;
    const made = isTree ? next.made?.get(name) : undefined;
    // What is in none of these folders is in the mirror, on which the git folder stands.
    const from = looseFile(objects, name);
    if (made === undefined && !hasLoose(from)) return;
    if (++seen % AT_ONCE === 0) await nextTurn();
    bytes += made?.length ?? sizeOfLoose(from);
    if (!(bytes <= maxBytes)) throw tooLarge(maxBytes);
    if (made !== undefined) trees.set(name, made);
    if (isTree) {
      const data = made ?? (await readLoose(from, maxBytes)).data;
      for (const entry of entriesOf(data, bytesOf(next.tree))) await keep(entry.name, entry.isTree);
    }
    if (made === undefined) link(from, file);
  };
  mkdirSync(to, { recursive: true, mode: 0o700 });
  await keep(next.tree, true);
  const commit = nameOfCommit(next);
  const slot = next.before !== undefined && commitIn(join(folder, SLOTS[0])) === next.before ? 1 : 0;
  overwrite(join(folder, SLOTS[slot]), encodeSlot(commit, next.content, trees));
  return { commit, bytes };
}

/**
 * The commit with all that is new of its tree as a pack, and the names of those of its objects that have a file of their
 * own; null when this folder does not keep it.
 */
export async function packTree(
  folder: string,
  commit: CommitSha,
): Promise<{ packed: CheckpointPack; names: readonly string[] } | null> {
  const slot = SLOTS.map((name) => join(folder, name)).find((file) => commitIn(file) === commit);
  if (slot === undefined) return null;
  const { content, trees } = readSlot(slot);
  const [, tree = ''] = /^tree ([0-9a-f]+)\n/.exec(content.toString('latin1')) ?? [];
  if (tree === '' || nameOfCommit({ content, tree }) !== commit)
    throw new CheckpointLost(`${folder} does not keep commit ${commit} whole`);
  const parents = [...content.toString('latin1').matchAll(/^parent ([0-9a-f]+)$/gm)];
  const from = join(folder, NEW);
  const made = new Map(trees.map((data) => [nameOf('tree', data, hashOf(tree)), data]));
  const objects: GitObject[] = [{ type: 'commit', data: content }];
  const [seen, names] = [new Set<string>(), [] as string[]];
  const add = async (name: string): Promise<void> => {
    const here = made.get(name);
    const file = join(from, name);
    if (seen.has(name) || (here === undefined && !hasLoose(file))) return;
    seen.add(name);
    if (here === undefined) names.push(name);
    const object =
      here === undefined ? await readLoose(file, bufferConstants.MAX_LENGTH) : { type: 'tree' as const, data: here };
    objects.push(object);
    if (object.type !== 'tree') return;
    for (const entry of entriesOf(object.data, bytesOf(tree))) await add(entry.name);
  };
  await add(tree);
  const builtOn = parents.map(([, parent]) => CommitSha.parse(parent));
  return { packed: { commit, builtOn, pack: await encodePack(objects, hashOf(tree)) }, names };
}

/** The mirror has these, and all that they name. */
export function markTaken(folder: string, names: readonly string[]): void {
  mkdirSync(join(folder, TAKEN), { recursive: true, mode: 0o700 });
  for (const name of names) renameSync(join(folder, NEW, name), join(folder, TAKEN, name));
}

/** Each a flat folder, where git has two levels: a sandbox's are few. */
const NEW = 'new';
const TAKEN = 'taken';

/** The newest and the one before, each overwritten in its turn. */
export const SLOTS = ['kept-0', 'kept-1'] as const;

const bytesOf = (name: string): 20 | 32 => (name.length === 64 ? 32 : 20);

/** `<commit> <bytes>\n`, then so many bytes: the commit and trees, each as `<type> <bytes>\0<content>`. */
function encodeSlot(commit: CommitSha, content: Buffer, trees: ReadonlyMap<string, Buffer>): Buffer {
  const parts = [Buffer.from(`commit ${content.length}\0`), content];
  for (const data of trees.values()) parts.push(Buffer.from(`tree ${data.length}\0`), data);
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(`${commit} ${body.length}\n`), body]);
}

/** The commit that a place was written for; its content may be another where its writer was killed or lost power. */
function commitIn(file: string): string | null {
  const head = Buffer.alloc(HEAD_BYTES);
  const handle = openExisting(file);
  if (handle === null) return null;
  try {
    return HEAD.exec(head.toString('latin1', 0, readSync(handle, head)))?.[1] ?? null;
  } finally {
    closeSync(handle);
  }
}

function openExisting(file: string): number | null {
  try {
    return openSync(file, 'r');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

const HEAD_BYTES = 100;
const HEAD = /^([0-9a-f]+) (\d+)\n/;

function readSlot(file: string): { content: Buffer; trees: Buffer[] } {
  const text = readFileSync(file);
  const [head = '', , bytes = '0'] = HEAD.exec(text.toString('latin1', 0, HEAD_BYTES)) ?? [];
  return decodeSlot(text.subarray(head.length, head.length + Number(bytes)));
}

function decodeSlot(body: Buffer): { content: Buffer; trees: Buffer[] } {
  const objects: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const start = body.indexOf(0, at) + 1;
    const [, size] = /^(?:commit|tree) (\d+)$/.exec(body.toString('latin1', at, Math.max(at, start - 1))) ?? [];
    if (size === undefined) break;
    at = start + Number(size);
    objects.push(body.subarray(start, at));
  }
  const [content = Buffer.alloc(0), ...trees] = objects;
  return { content, trees };
}

/** Without the thread pool and, after the first time, without a new file, see json-files.ts. What was longer keeps its end. */
function overwrite(path: string, content: Buffer): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o600);
  try {
    if (writeSync(file, content, 0, content.length, 0) !== content.length)
      throw new Error(`${path} could not be written whole: is its disk full?`);
  } finally {
    closeSync(file);
  }
}

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
