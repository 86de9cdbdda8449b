/** What this host knows of its sandboxes on Modal: one small folder each, as a local sandbox has. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import { NetworkSetting } from '../../../shared/contracts/network.ts';
import { readJson, writeJson } from '../../support/json-files.ts';

const ModalRecord = z.object({
  /** Modal's own name of the sandbox. */
  sandboxId: z.string(),
  createdAt: z.number(),
  network: NetworkSetting,
});
export type ModalRecord = z.infer<typeof ModalRecord>;

/** Snapshots of what `setup` made, beside its records. */
export const SetupImages = z.object({ workspace: z.string(), home: z.string() });

const ID = /^[a-z0-9-]{1,64}$/;
export const isSandboxId = (id: string): boolean => ID.test(id);

export interface ModalRecords {
  folder(id: string): string;
  /** @throws EEXIST when there is one of that id. */
  open(id: string): Promise<void>;
  read(id: string): Promise<ModalRecord | null>;
  write(id: string, record: ModalRecord): Promise<void>;
  delete(id: string): Promise<void>;
  list(): Promise<string[]>;
}

export function createModalRecords(root: string): ModalRecords {
  const folder = (id: string): string => {
    if (!isSandboxId(id)) throw terminal(FailureType.Invariant, `"${id}" is no sandbox id`);
    return join(root, id);
  };
  return {
    folder,
    async open(id) {
      await mkdir(root, { recursive: true, mode: 0o700 });
      await mkdir(folder(id), { mode: 0o700 });
      await mkdir(join(folder(id), 'records'));
    },
    read: (id) => readJson(join(folder(id), 'modal.json'), ModalRecord),
    write: (id, record) => writeJson(join(folder(id), 'modal.json'), record),
    delete: (id) => rm(folder(id), { recursive: true, force: true }),
    async list() {
      return (await readdir(root).catch(() => [])).filter(isSandboxId);
    },
  };
}
