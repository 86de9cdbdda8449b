/** Sandboxes that nobody will come for: their task has ended, or whoever made them died half-way. */
import type { Log } from '../../support/log.ts';
import type { ChainWatch } from '../../support/chain-watch.ts';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.ts';
import type { SandboxProvider } from '../provider.ts';
import { isSetupSandbox, makerOfSetup } from '../setup.ts';
import type { Records } from '../state/lease-file.ts';
import { isAlive } from '../../../host/processes.ts';

export type ReaperDeps = {
  provider: SandboxProvider;
  checkpointStore: CheckpointStore;
  records: Records;
  chains: ChainWatch;
  held: ReadonlySet<string>;
  log: Log;
};

/** Terminates leftovers; returns their ids. One that cannot be judged now (the server is away) is left. */
export async function reapLeftovers({
  provider,
  checkpointStore,
  records,
  chains,
  held,
  log,
}: ReaperDeps): Promise<string[]> {
  const reaped: string[] = [];
  for (const id of await provider.list()) {
    try {
      const why = held.has(id) ? undefined : await whyLeftOver(id);
      if (why === undefined || held.has(id)) continue;
      await provider.terminate(id);
      await checkpointStore.forget(id);
      reaped.push(id);
      log.info({ sandbox: id, why }, 'a leftover sandbox was terminated');
    } catch (error) {
      log.warn({ sandbox: id, error: String(error) }, 'a sandbox could not be looked at');
    }
  }
  await checkpointStore.prune(await provider.list());
  return reaped;

  async function whyLeftOver(id: string): Promise<string | undefined> {
    if (isSetupSandbox(id)) {
      return isAlive(makerOfSetup(id)) ? undefined : 'the process that ran setup in it is dead';
    }
    const lease = await records.lease(id);
    if (lease === null) {
      // Between its folder and its first record is a moment in which another process may just be.
      return (await ageMs(id)) > 60_000 ? 'it was never leased' : undefined;
    }
    if (lease.state.kind === 'making') {
      return isAlive(lease.state) ? undefined : 'the process that made it died before it was done';
    }
    const check = await chains.check([...lease.ancestors, lease.holder], { fresh: true });
    return check.kind === 'orphaned' ? `${check.by.workflowId} is ${check.status}` : undefined;
  }

  async function ageMs(id: string): Promise<number> {
    return Date.now() - (await provider.createdAt(id));
  }
}
