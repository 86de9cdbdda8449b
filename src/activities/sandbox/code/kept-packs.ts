/**
 * Checkpoints as they came out of a sandbox: packs in a folder of the host's state, which a lost sandbox does not
 * take along. Most are superseded within seconds, so only what is needed goes into the mirror: what is pushed,
 * restored or handed off. Taking each turn's in cost two processes and 6 ms of CPU a turn.
 */
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CommitSha } from '../../../shared/ids.ts';
import type { Mirror } from '../../git/contract.ts';
import { isMissing, readJson, writeFileWhole } from '../state/files.ts';
import { takePack } from './take-pack.ts';

const Kept = z.object({ commit: CommitSha, builtOn: z.array(CommitSha) });

/** What a sandbox said its work tree is: a commit, and a pack of what it has beyond `builtOn`. Untrusted. */
export type CheckpointPack = z.infer<typeof Kept> & { pack: Buffer };

export interface KeptPacks {
  /** In place of what was kept of this sandbox before. */
  keep(id: string, pack: CheckpointPack): Promise<void>;
  /** Into the mirror, if it was kept here; whether it was. @throws GitError when the mirror does not take it. */
  take(mirror: Mirror, commit: CommitSha): Promise<boolean>;
  forget(id: string): Promise<void>;
  /** Deletes what is older than a week and of none of these sandboxes. */
  prune(ids: readonly string[]): Promise<void>;
}

const KEEP_MS = 7 * 24 * 3_600_000;

export function createKeptPacks(dir: string): KeptPacks {
  const names = (folder: string) =>
    readdir(folder).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });

  return {
    async keep(id, { commit, builtOn, pack }) {
      const folder = join(dir, id);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const before = await names(folder);
      writeFileWhole(join(folder, `${commit}.pack`), pack);
      writeFileWhole(join(folder, `${commit}.json`), JSON.stringify({ commit, builtOn }));
      for (const name of before) if (!name.startsWith(commit)) await rm(join(folder, name), { force: true });
    },
    async take(mirror, commit) {
      for (const id of await names(dir)) {
        const kept = await readJson(join(dir, id, `${commit}.json`), Kept);
        if (kept === null) continue;
        await takePack(mirror, id, { ...kept, pack: await readFile(join(dir, id, `${commit}.pack`)) });
        return true;
      }
      return false;
    },
    forget: (id) => rm(join(dir, id), { recursive: true, force: true }),
    async prune(ids) {
      const open = new Set(ids);
      for (const id of await names(dir)) {
        const found = await stat(join(dir, id)).catch(() => null);
        if (!open.has(id) && found !== null && Date.now() - found.mtimeMs > KEEP_MS)
          await rm(join(dir, id), { recursive: true, force: true });
      }
    },
  };
}
