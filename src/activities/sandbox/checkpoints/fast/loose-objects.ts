/** Trees and blobs as git keeps them one by one (gitformat-loose), and as a pack (gitformat-pack), without git. */
import { createHash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { constants, deflate, deflateSync, inflate, inflateSync } from 'node:zlib';

type ObjectType = 'commit' | 'tree' | 'blob';
export type GitObject = { type: ObjectType; data: Buffer };

/** What is smaller is packed and unpacked at once: the thread pool takes longer. */
const SMALL = 32 * 1024;
const LEVEL = { level: 1 };
const unpack = promisify(inflate);
const pack = promisify(deflate);

/** Where git has an object in its folder of them. */
export const looseFile = (objects: string, name: string): string => join(objects, name.slice(0, 2), name.slice(2));

/** Whether there is such an object, as a file. */
export const hasLoose = (file: string): boolean => lstatSync(file, { throwIfNoEntry: false })?.isFile() === true;

/** @throws when it is not there, is no object, or unpacks to more than `maxBytes`. */
export async function readLoose(file: string, maxBytes: number): Promise<GitObject> {
  const packed = readFileSync(file);
  const limit = { maxOutputLength: maxBytes };
  const object = packed.length < SMALL ? inflateSync(packed, limit) : await unpack(packed, limit);
  const end = object.indexOf(0);
  const [, type, size] = /^(tree|blob) (\d+)$/.exec(object.toString('latin1', 0, Math.min(end, 40))) ?? [];
  if (type === undefined || Number(size) !== object.length - end - 1) throw new Error(`${file} is no tree or blob`);
  return { type: type as ObjectType, data: object.subarray(end + 1) };
}

/** Bytes of an object when unpacked, from its first ones. */
export function sizeOfLoose(path: string): number {
  const file = openSync(path, 'r');
  try {
    // The tables of a block's codes come first.
    const start = Buffer.alloc(1_024);
    const length = readSync(file, start);
    const header = inflateSync(start.subarray(0, length), { finishFlush: constants.Z_SYNC_FLUSH }).toString('latin1');
    return Number(/^[a-z]+ (\d+)\0/.exec(header)?.[1] ?? Number.NaN);
  } finally {
    closeSync(file);
  }
}

const GITLINK = '160000';

/** What a tree names and its repository must have: all but commits of submodules. @param bytes of an object's name. */
export function* entriesOf(tree: Buffer, bytes: 20 | 32): Generator<{ name: string; isTree: boolean }> {
  for (let at = 0; at < tree.length; ) {
    const end = tree.indexOf(0, at);
    if (end < 0 || end + 1 + bytes > tree.length) throw new Error('a tree ends within an entry');
    const mode = tree.toString('latin1', at, tree.indexOf(0x20, at));
    const name = tree.toString('hex', end + 1, end + 1 + bytes);
    if (mode !== GITLINK) yield { name, isTree: mode === '40000' };
    at = end + 1 + bytes;
  }
}

const TYPE_NUMBERS = { commit: 1, tree: 2, blob: 3 } as const;

/** A pack without deltas. */
export async function encodePack(objects: readonly GitObject[], hash: 'sha1' | 'sha256'): Promise<Buffer> {
  const header = Buffer.alloc(12);
  header.write('PACK', 'latin1');
  header.writeUInt32BE(2, 4);
  header.writeUInt32BE(objects.length, 8);
  const parts: Buffer[] = [header];
  for (const { type, data } of objects)
    parts.push(
      entryHeader(type, data.length),
      data.length < SMALL ? deflateSync(data, LEVEL) : await pack(data, LEVEL),
    );
  const body = Buffer.concat(parts);
  return Buffer.concat([body, createHash(hash).update(body).digest()]);
}

/** Type in bits 4 to 6 of the first byte, the size from its low four bits on, 7 bits a byte; the high bit: more. */
function entryHeader(type: ObjectType, size: number): Buffer {
  const bytes: number[] = [];
  let byte = (TYPE_NUMBERS[type] << 4) | (size & 15);
  // Sizes may be over 2^31, where shifts end.
  for (let rest = Math.floor(size / 16); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(byte | 0x80);
    byte = rest & 0x7f;
  }
  return Buffer.from([...bytes, byte]);
}
