/** Who holds a sandbox, and what its work tree is: the host's records of it, out of the agent's sight. */
import { join } from 'node:path';
import { z } from 'zod';
import { RepositoryRef } from '../../../shared/contracts/run.ts';
import { Chain, CommitSha } from '../../../shared/base/ids.ts';
import { gone } from '../gone.ts';
import type { SandboxProvider } from '../provider.ts';
import { isMissing, overwriteJson, readJson, writeJson } from '../../support/json-files.ts';
import { Maker } from '../../../host/processes.ts';

export const LeaseRecord = z.object({
  epoch: z.number().int(),
  holder: Chain,
  ancestors: z.array(Chain),
  repo: RepositoryRef,
  createdAt: z.number(),
  /** `making` until the work tree is there; then which process makes it. */
  state: z.discriminatedUnion('kind', [
    Maker.extend({ kind: z.literal('making') }),
    z.object({ kind: z.literal('ready') }),
  ]),
});
export type LeaseRecord = z.infer<typeof LeaseRecord>;

export const TreeRecord = z.object({
  /** What the work is measured against, and the parent of every checkpoint. */
  base: CommitSha,
  /** The newest checkpoint, or what the sandbox started with. */
  commit: CommitSha,
  tree: CommitSha,
  turn: z.number().int(),
  /** Whether the mirror has `commit`; else it is among the kept checkpoints. */
  inMirror: z.boolean(),
  /** Of the kept objects that the mirror does not have. */
  keptBytes: z.number().int().optional(),
  /** The newest of its commits that the mirror has: packs hold what came after it. */
  packedOn: CommitSha,
  /** Names the content of the key files of `setup`, and that for which setup was last looked at. */
  keys: z.string().optional(),
  setupFor: z.string().optional(),
  /** What was being merged when it started. */
  merging: CommitSha.optional(),
  /** The epoch for which a `restore` has been looked at. */
  restoredFor: z.number().int().optional(),
});
export type TreeRecord = z.infer<typeof TreeRecord>;

export interface Records {
  lease(id: string): Promise<LeaseRecord | null>;
  writeLease(id: string, lease: LeaseRecord): Promise<void>;
  /** @throws SandboxGone when there is none. */
  tree(id: string): Promise<TreeRecord>;
  writeTree(id: string, tree: TreeRecord): Promise<void>;
  /** @throws SandboxGone unless the sandbox is ready and leased under this epoch. */
  expectEpoch(id: string, epoch: number): Promise<LeaseRecord>;
}

export function createRecords(provider: SandboxProvider): Records {
  const at = (id: string, name: string) => join(provider.recordDir(id), name);
  const write = async (id: string, writing: () => void | Promise<void>) => {
    try {
      await writing();
    } catch (error) {
      throw isMissing(error) ? gone(id, error) : error;
    }
  };
  const lease = (id: string) => readJson(at(id, 'lease.json'), LeaseRecord);
  return {
    lease,
    writeLease: (id, record) => write(id, () => writeJson(at(id, 'lease.json'), record)),
    async tree(id) {
      const record = await readJson(at(id, 'tree.json'), TreeRecord);
      if (record === null) throw gone(id);
      return record;
    },
    writeTree: (id, record) => write(id, () => overwriteJson(at(id, 'tree.json'), record)),
    async expectEpoch(id, epoch) {
      const record = await lease(id);
      if (record === null || record.state.kind !== 'ready' || !(await provider.has(id))) throw gone(id);
      if (record.epoch !== epoch) {
        throw gone(id, new Error(`lease ${epoch} was asked for, lease ${record.epoch} holds it`));
      }
      return record;
    },
  };
}
