/** The sandboxes of this host: their activities, and the clean-up of what is left over. */
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import type { Config } from '../../shared/config/worker-config.ts';
import type { SandboxActivities } from '../../shared/contracts/activities.ts';
import type { SandboxRef } from '../../shared/contracts/agent.ts';
import { createExclusive, Semaphore } from '../../shared/base/semaphore.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { Mirrors } from '../git/contract.ts';
import type { Log } from '../support/log.ts';
import type { Processes } from '../process/spawner.ts';
import type { ChainWatch } from '../support/chain-watch.ts';
import { act, type ActDeps } from './act.ts';
import { collectFromSandbox } from './collect.ts';
import { createCheckpoints } from './checkpoints/checkpoint.ts';
import { createCheckpointStore } from './checkpoints/checkpoint-store.ts';
import { createCheckpointPushes } from './checkpoints/pushes.ts';
import { createSandboxProvider } from './create-provider.ts';
import { adoptSandbox, type HoldDeps, holdSandbox } from './lease/hold.ts';
import { reapLeftovers } from './lease/reaper.ts';
import type { ExecOptions, SandboxProvider, SandboxResult } from './provider.ts';
import type { RegistryFinder } from './network/registry-finder.ts';
import { createScratch, type Scratch } from './scratch.ts';
import { createSetups } from './setup.ts';
import { createTurnLog } from './state/journal.ts';
import { createRecords } from './state/lease-file.ts';
import { createTurnstile } from './turnstile.ts';

export type SandboxDeps = {
  config: Config['sandbox'];
  /** Absolute. Everything of sandboxes on this host is below it. */
  stateDir: string;
  /** The worker's; see createLocalProvider for what is read of it. */
  env: Readonly<Record<string, string | undefined>>;
  mirrors: Mirrors;
  client: Client;
  chains: ChainWatch;
  /** The queue of this host, on which `act`, `collectWork` and `adoptSandbox` run. */
  hostQueue: string;
  log: Log;
  /** How processes are started; in this process unless given. */
  processes?: Processes;
  /** Where registries are; the provider's own unless given. */
  finder?: RegistryFinder;
  /** Default: bubblewrap on this host. */
  provider?: SandboxProvider;
};

export type Sandboxes = {
  activities: SandboxActivities;
  /** For the queue of reserved slots: the same lease, with places of its own. */
  reserved: Pick<SandboxActivities, 'holdSandbox'>;
  /** Sandboxes on reserved places, each for one activity. */
  scratch: Scratch;
  /** Runs a command in a leased sandbox of this host. @throws SandboxGone when it is not here under this epoch. */
  exec(sandbox: SandboxRef, argv: readonly string[], options: ExecOptions): Promise<SandboxResult>;
  /** Whether commands run without isolation, because the configuration said so. */
  unsafe: boolean;
  /** Terminates what nobody will come for; returns the ids. */
  reapLeftovers(): Promise<string[]>;
  /** Now and every minute; returns what ends it. */
  reapRegularly(everyMs?: number): () => void;
};

/** @throws SandboxUnavailable when nothing can be isolated here and `config.unsafe` is not set. */
export async function createSandboxes(deps: SandboxDeps): Promise<Sandboxes> {
  const { config, stateDir, mirrors, client, chains, hostQueue, log } = deps;
  const { limits } = config;
  const provider = deps.provider ?? (await createSandboxProvider({ ...deps, owner: hostQueue }));
  const records = createRecords(provider);
  const checkpointStore = createCheckpointStore(join(stateDir, 'checkpoints'));
  const pushes = createCheckpointPushes({ log, everyMs: config.checkpointPushSeconds * 1_000 });
  const setups = createSetups({ provider, stateDir, log });
  const held = new Set<string>();
  const collected = new Set<string>();
  const journal = createTurnLog(provider);
  const turnstile = createTurnstile();
  const actDeps: ActDeps = {
    provider,
    mirrors,
    records,
    journal,
    checkpoints: createCheckpoints({ provider, records, store: checkpointStore, log }, config.checkpoints),
    checkpointStore,
    pushes,
    setups,
    limits,
    exclusive: createExclusive(),
    turnstile,
    log,
  };
  const holdDeps: HoldDeps = {
    provider,
    mirrors,
    records,
    setups,
    checkpointStore,
    pushes,
    chains,
    client,
    hostQueue,
    held,
    collected,
    turnstile,
    log,
  };
  const places = new Semaphore(config.maxSandboxes);
  const reservedPlaces = new Semaphore(config.reservedSlots);
  const reap = () => reapLeftovers({ provider, checkpointStore, records, chains, held, log });

  return {
    activities: {
      holdSandbox: (request) => holdSandbox(holdDeps, places, request),
      adoptSandbox: (request) => adoptSandbox(holdDeps, places, request),
      act: (request) => act(actDeps, request),
      async collectWork(request) {
        const result = await collectFromSandbox(actDeps, request);
        if (held.has(request.sandbox.id)) collected.add(request.sandbox.id);
        return result;
      },
    },
    reserved: { holdSandbox: (request) => holdSandbox(holdDeps, reservedPlaces, request) },
    scratch: createScratch({ provider, records, setups, places: reservedPlaces, held, turnstile, log }),
    async exec(sandbox, argv, options) {
      await records.expectEpoch(sandbox.id, sandbox.epoch);
      return await execByAgent(provider, sandbox.id, argv, options);
    },
    unsafe: !provider.isolated,
    reapLeftovers: reap,
    reapRegularly: (everyMs = 60_000) => repeatedly(reap, everyMs, log),
  };
}

/** Runs an external agent's command. @throws SandboxUnavailable when it needs a service of this host, and the sandbox is elsewhere. */
async function execByAgent(
  provider: SandboxProvider,
  id: string,
  argv: readonly string[],
  options: ExecOptions,
): Promise<SandboxResult> {
  if (options.service !== undefined && provider.remote === true) {
    throw terminal(
      FailureType.SandboxUnavailable,
      `External agents cannot be run in ${provider.kind} sandboxes: the models' gateway is on this host.`,
      'Set sandbox.provider to "local", or agent.engine to "loop".',
    );
  }
  return await provider.exec(id, argv, { network: provider.agentNetwork ?? 'none', ...options });
}

/** Reaps now and every `everyMs`, whether or not it succeeds. @returns what ends it. */
function repeatedly(reap: () => Promise<unknown>, everyMs: number, log: Log): () => void {
  const look = (): void => {
    reap().catch((error: unknown) => log.warn({ error: String(error) }, 'leftover sandboxes could not be listed'));
  };
  look();
  const timer = setInterval(look, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
