/**
 * Checkpoints in a folder of the host's state, which a lost sandbox does not take along: as objects where the
 * sandbox's files are on this host (fast/object-store.ts), as packs where they are not. Most are superseded within seconds,
 * so only what is needed goes into the mirror: what is pushed, restored or handed off.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CommitSha } from '../../../shared/base/ids.ts';
import type { Mirror } from '../../git/contract.ts';
import { isMissing } from '../../support/json-files.ts';
import { type NewTree, storeObjects, markTaken, packTree, SLOTS } from './fast/object-store.ts';
import { type CheckpointPack, takePack } from './checkpoint-pack.ts';

/** `<commit>_<built on>_<built on>.pack`; one that was cut short by a kill fails its own checksum. */
const nameOf = ({ commit, builtOn }: CheckpointPack): string => `${[commit, ...builtOn].join('_')}.pack`;

export interface CheckpointStore {
  /** In place of what was kept of this sandbox before. */
  keep(id: string, pack: CheckpointPack): Promise<void>;
  /** Likewise, of a tree that was made in a git folder with these objects. @see storeObjects */
  keepTree(id: string, objects: string, tree: NewTree, maxBytes: number): Promise<{ commit: CommitSha; bytes: number }>;
  /**
   * Into the mirror, if it was kept here; whether it was. @param by the sandbox that is looked at first.
   * @throws GitError when the mirror does not take it.
   */
  take(mirror: Mirror, commit: CommitSha, by?: string): Promise<boolean>;
  forget(id: string): Promise<void>;
  /** Deletes what is older than a week and of none of these sandboxes. */
  prune(ids: readonly string[]): Promise<void>;
}

const FEW = 100;
const FEW_BYTES = 256 * 1024;
const KEEP_MS = 7 * 24 * 3_600_000;

export function createCheckpointStore(dir: string): CheckpointStore {
  const names = (folder: string) =>
    readdir(folder).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });

  async function takeFrom(id: string, mirror: Mirror, commit: CommitSha): Promise<boolean> {
    const folder = join(dir, id);
    const tree = await packTree(folder, commit);
    if (tree !== null) {
      await takePack(mirror, id, tree.packed);
      // A little is packed again more cheaply than it is put aside.
      if (tree.names.length > FEW || tree.packed.pack.length > FEW_BYTES) markTaken(folder, tree.names);
      return true;
    }
    const name = (await names(folder)).find((each) => each.startsWith(`${commit}_`));
    if (name === undefined) return false;
    const builtOn = name
      .slice(0, -'.pack'.length)
      .split('_')
      .slice(1)
      .map((each) => CommitSha.parse(each));
    await takePack(mirror, id, { commit, builtOn, pack: await readFile(join(folder, name)) });
    return true;
  }

  return {
    async keep(id, pack) {
      const folder = join(dir, id);
      const before = await names(folder);
      if (before.length === 0) await mkdir(folder, { recursive: true, mode: 0o700 });
      const name = nameOf(pack);
      // Without the thread pool, see json-files.ts.
      writeFileSync(join(folder, name), pack.pack);
      for (const old of before) if (old !== name) rmSync(join(folder, old), { force: true });
    },
    keepTree: (id, objects, tree, maxBytes) => storeObjects(join(dir, id), objects, tree, maxBytes),
    async take(mirror, commit, by) {
      if (by !== undefined && (await takeFrom(by, mirror, commit))) return true;
      for (const id of await names(dir)) if (id !== by && (await takeFrom(id, mirror, commit))) return true;
      return false;
    },
    forget: (id) => rm(join(dir, id), { recursive: true, force: true }),
    async prune(ids) {
      const open = new Set(ids);
      for (const id of await names(dir)) {
        if (open.has(id)) continue;
        // The newest are overwritten, which their folder does not show.
        const paths = [join(dir, id), ...SLOTS.map((name) => join(dir, id, name))];
        const times = await Promise.all(
          paths.map((path) =>
            stat(path).then(
              ({ mtimeMs }) => mtimeMs,
              () => 0,
            ),
          ),
        );
        if (Date.now() - Math.max(...times) > KEEP_MS) await rm(join(dir, id), { recursive: true, force: true });
      }
    },
  };
}
