/**
 * A sandbox for as long as one activity: no agent, no checkpoint, nothing comes out of it but what commands print. It
 * takes a reserved place, so that tasks that wait for a verdict cannot starve it.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Chain, CommitSha } from '../../shared/base/ids.ts';
import type { Semaphore } from '../../shared/base/semaphore.ts';
import type { Setup } from '../../shared/contracts/run-settings.ts';
import type { Mirror } from '../git/contract.ts';
import type { Log } from '../support/log.ts';
import { checkOut } from './checkpoints/checkout.ts';
import type { ExecOptions, SandboxProvider, SandboxResult } from './provider.ts';
import type { SetupResult } from './setup-install.ts';
import type { Setups } from './setup.ts';
import type { Records } from './state/lease-file.ts';
import type { Turnstile } from './turnstile.ts';
import { thisMaker } from '../../host/processes.ts';

export type ScratchRequest = {
  mirror: Mirror;
  /** In the mirror. */
  commit: CommitSha;
  /** Of `prepare`, for this commit. */
  prepared?: SetupResult | undefined;
  /** The workflow that asked. */
  holder: Chain;
  signal: AbortSignal;
};

export interface Scratch {
  /** Waits for a place on this host, and has it for as long as the body runs. */
  inPlace<T>(body: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /** What `setup` makes of a commit. @throws SetupFailed. */
  prepare(setup: Setup, mirror: Mirror, commit: CommitSha, signal: AbortSignal): Promise<SetupResult>;
  /** Makes a sandbox with the commit's tree, hands it to `use`, and ends it. */
  open<T>(request: ScratchRequest, use: (sandbox: ScratchSandbox) => Promise<T>): Promise<T>;
}

export type ScratchSandbox = {
  /** The work tree, as seen from inside. */
  workspace: string;
  /** Runs a command with network as agents have it. */
  exec(argv: readonly string[], options: ExecOptions): Promise<SandboxResult>;
};

export function createScratch(deps: {
  provider: SandboxProvider;
  records: Records;
  setups: Setups;
  places: Semaphore;
  held: Set<string>;
  turnstile: Turnstile;
  log: Log;
}): Scratch {
  const { provider, records, setups, places, held, turnstile, log } = deps;
  return {
    inPlace: (body, signal) => places.run(body, signal),
    prepare: (setup, mirror, commit, signal) => setups.ensure(setup, mirror, commit, signal),

    async open({ mirror, commit, prepared, holder, signal }, use) {
      const id = `sb-${randomUUID()}`;
      const startedAt = Date.now();
      held.add(id);
      try {
        await turnstile(async () => {
          await provider.create({ id, objects: join(mirror.dir, 'objects') });
          // Never more than `making`: nobody adopts it, and it is a leftover as soon as this process is dead.
          await records.writeLease(id, {
            epoch: 1,
            holder,
            ancestors: [],
            repo: mirror.repo,
            createdAt: startedAt,
            state: { kind: 'making', ...thisMaker() },
          });
          const start = { base: commit, commit };
          await checkOut({ provider, mirror, id, start, exclude: prepared?.exclude ?? [], signal });
          if (prepared !== undefined) await setups.install(prepared, id, signal);
        });
        log.info({ sandbox: id, commit, durationMs: Date.now() - startedAt }, 'sandbox for checks created');
        const network = provider.agentNetwork ?? 'none';
        return await use({
          workspace: provider.paths(id).workspace,
          exec: (argv, options) => provider.exec(id, argv, { network, ...options }),
        });
      } finally {
        await provider.terminate(id);
        held.delete(id);
      }
    },
  };
}
