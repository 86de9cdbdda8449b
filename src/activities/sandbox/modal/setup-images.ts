/** What `setup` made, as snapshots that Modal keeps (30 days) and mounts into the sandboxes that want them. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModalClient, Sandbox } from 'modal';
import type { z } from 'zod';
import { readJson } from '../../support/json-files.ts';
import { statusOf } from './errors.ts';
import { PATHS, SETUP_PARTS } from './layout.ts';
import { SetupImages } from './records.ts';

export const IMAGES_FILE = 'setup-images.json';
const SNAPSHOT_MS = 10 * 60_000;

export async function snapshotSetup(sandbox: Sandbox): Promise<z.infer<typeof SetupImages>> {
  const snapshot = async (path: string) => (await sandbox.snapshotDirectory(path, { timeoutMs: SNAPSHOT_MS })).imageId;
  return { workspace: await snapshot(PATHS.workspace), home: await snapshot(PATHS.home) };
}

/**
 * Mounts them; returns what unmounts them again.
 * @param folder as `archive` left it. Deleted when Modal does not have its snapshots any more, so that `setup` is run
 * again for the next sandbox.
 */
export async function mountSetup(client: ModalClient, sandbox: Sandbox, folder: string): Promise<() => Promise<void>> {
  const images = await readJson(join(folder, IMAGES_FILE), SetupImages);
  if (images === null) throw new Error(`${folder} holds no result of setup on Modal`);
  const mounted: string[] = [];
  const unmount = async () => {
    for (const path of mounted) await sandbox.unmountImage(path);
  };
  try {
    for (const part of ['workspace', 'home'] as const) {
      const image = await client.images.fromId(images[part]).catch(async (error: unknown) => {
        if (statusOf(error) === 'NOT_FOUND') await rm(folder, { recursive: true, force: true });
        throw new Error(`Modal does not have the snapshot ${images[part]} of what setup made (${String(error)})`);
      });
      await sandbox.mountImage(SETUP_PARTS[part], image);
      mounted.push(SETUP_PARTS[part]);
    }
  } catch (error) {
    await unmount().catch(() => undefined);
    throw error;
  }
  return unmount;
}
