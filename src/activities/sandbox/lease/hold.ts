/**
 * Leases, as in Go's Temporal sessions: an activity that makes a sandbox (or adopts one), tells its task, and holds
 * it. Who deletes it follows from the reason of the end:
 * - released (a requested cancellation), or orphaned: this activity;
 * - the worker shuts down: nobody, the task adopts it;
 * - heartbeat lost, or unknown to the server: this activity, if the task has ended and the lease is still its own.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { CancelledFailure, Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { AdoptRequest, HoldRequest, HoldResult, LeasedMessage } from '../../../shared/contracts/sandbox.ts';
import { FailureType, failureTypeOf } from '../../../shared/base/failures.ts';
import { sameChain } from '../../../shared/base/ids.ts';
import type { Semaphore } from '../../../shared/base/semaphore.ts';
import type { Setup } from '../../../shared/contracts/run-settings.ts';
import type { Mirror, Mirrors } from '../../git/contract.ts';
import type { Log } from '../../support/log.ts';
import { type Beats, heartbeating, throwIfCancelled } from '../../support/heartbeats.ts';
import type { ChainWatch } from '../../support/chain-watch.ts';
import { checkOut, resolveStart, type StartPoint } from '../checkpoints/checkout.ts';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.ts';
import type { CheckpointPushes } from '../checkpoints/pushes.ts';
import { gone } from '../gone.ts';
import type { SandboxProvider } from '../provider.ts';
import type { SetupResult } from '../setup-install.ts';
import type { Setups } from '../setup.ts';
import type { LeaseRecord, Records } from '../state/lease-file.ts';
import { tellHolder } from './holder.ts';
import type { Turnstile } from '../turnstile.ts';
import { thisMaker } from '../../../host/processes.ts';

export type HoldDeps = {
  provider: SandboxProvider;
  mirrors: Mirrors;
  records: Records;
  setups: Setups;
  checkpointStore: CheckpointStore;
  pushes: CheckpointPushes;
  chains: ChainWatch;
  client: Client;
  /** The queue on which tools of these sandboxes are run. */
  hostQueue: string;
  /** Ids that an activity of this process holds: never a leftover. */
  held: Set<string>;
  /** Ids whose work was collected: their release is near. */
  collected: Set<string>;
  turnstile: Turnstile;
  log: Log;
};

const LOOK_MS = 2_000;
/** A requested cancellation arrives with the answer to a heartbeat: rarely while agents work, soon when they end. */
const BEAT_MS = 8_000;
const RELEASE_BEAT_MS = 250;
const CHECK_MS = 15_000;

/** Waits for a place, makes a sandbox, and holds it. @throws CancelledFailure, and what kept it from being made. */
export function holdSandbox(deps: HoldDeps, places: Semaphore, request: HoldRequest): Promise<HoldResult> {
  const hold = async (beats: Beats): Promise<HoldResult> => {
    const id = `sb-${randomUUID()}`;
    deps.held.add(id);
    try {
      const made = await make(deps, id, request, beats.signal, (doing) => beats.beat({ sandbox: id, doing }));
      return await new Hold(deps, id, request, made, beats).keep();
    } finally {
      deps.held.delete(id);
      deps.collected.delete(id);
    }
  };
  return heartbeating((beats) => places.run(() => hold(beats), beats.signal), {
    details: { waiting: 'for a place on this host' },
    everyMs: BEAT_MS,
  });
}

/** Holds a sandbox that a lost lease left here. @throws SandboxGone when it is not here or not this task's. */
export function adoptSandbox(deps: HoldDeps, places: Semaphore, request: AdoptRequest): Promise<HoldResult> {
  const { id } = request.sandbox;
  return heartbeating(
    async (beats) => {
      // It is open already, so it counts also where all places are taken.
      const giveBack = places.takeAnyway();
      try {
        return await adopt(deps, request, beats);
      } finally {
        giveBack();
      }
    },
    { details: { adopting: id }, everyMs: BEAT_MS },
  );
}

async function adopt(deps: HoldDeps, request: AdoptRequest, beats: Beats): Promise<HoldResult> {
  const { id } = request.sandbox;
  const before = await deps.records.lease(id);
  if (before === null || before.state.kind !== 'ready' || !(await deps.provider.has(id))) {
    if (before === null) await deps.provider.terminate(id);
    throw gone(id);
  }
  if (!sameChain(before.holder, request.holder)) throw gone(id, new Error('it is held for another task'));
  if (before.epoch >= request.epoch) throw gone(id, new Error(`lease ${before.epoch} holds it already`));
  const probe = await deps.provider.exec(id, ['/bin/true'], { timeoutMs: 10_000, signal: beats.signal });
  if (probe.reason !== 'exit' || probe.exitCode !== 0) throw gone(id, new Error(`nothing runs in it: ${probe.stderr}`));
  const wasHeld = deps.held.has(id);
  deps.held.add(id);
  try {
    await deps.records.writeLease(id, { ...before, epoch: request.epoch, ancestors: request.ancestors });
    const { base } = await deps.records.tree(id);
    return await new Hold(deps, id, request, { base }, beats).keep();
  } finally {
    if (!wasHeld) deps.held.delete(id);
    deps.collected.delete(id);
  }
}

/** What the holder is told of a sandbox beside where it is. */
type Made = Omit<LeasedMessage, 'sandbox'>;

async function make(
  deps: HoldDeps,
  id: string,
  request: HoldRequest,
  signal: AbortSignal,
  doing: (what: string) => void,
): Promise<Made> {
  const { provider, mirrors, records, setups, log } = deps;
  const { run, holder, ancestors, epoch } = request;
  const startedAt = Date.now();
  doing('reading the target branch');
  const mirror = await mirrors.open(run.repo);
  const start = await resolveStart(mirror, run.target, request.start);
  if (start.lost !== undefined) {
    const { lost, commit: tip } = start;
    log.warn(
      { sandbox: id, task: holder.workflowId, lost, tip },
      'the commit to start from is lost; starting at the tip',
    );
  }
  const { setup } = run.settings;
  doing('setup');
  const prepared = setup === null ? undefined : await ensureSetup(setups, setup, mirror, start, signal);
  doing('checking out');
  const lease: LeaseRecord = {
    epoch,
    holder,
    ancestors,
    repo: run.repo,
    createdAt: Date.now(),
    state: { kind: 'making', ...thisMaker() },
  };
  try {
    await deps.turnstile(async () => {
      await provider.create({ id, objects: join(mirror.dir, 'objects') });
      await records.writeLease(id, lease);
      const tree = await checkOut({ provider, mirror, id, start, exclude: prepared?.exclude ?? [], signal });
      if (prepared !== undefined) await setups.install(prepared, id, signal);
      await records.writeTree(id, tree);
      await throwIfCancelled(signal);
      await records.writeLease(id, { ...lease, state: { kind: 'ready' } });
    });
  } catch (error) {
    await provider.terminate(id);
    throw error;
  }
  log.info(
    { sandbox: id, task: holder.workflowId, epoch, start: start.commit, durationMs: Date.now() - startedAt },
    'sandbox created',
  );
  return { base: start.base, ...(start.lost === undefined ? {} : { startLost: true }) };
}

/** An attempt that has broken the key files must not keep the next from mending them. */
async function ensureSetup(
  setups: Setups,
  setup: Setup,
  mirror: Mirror,
  { base, commit }: StartPoint,
  signal: AbortSignal,
): Promise<SetupResult> {
  try {
    return await setups.ensure(setup, mirror, commit, signal);
  } catch (error) {
    if (failureTypeOf(error) !== FailureType.SetupFailed || commit === base) throw error;
    return await setups.ensure(setup, mirror, base, signal);
  }
}

class Hold {
  private readonly deps: HoldDeps;
  private readonly id: string;
  private readonly request: HoldRequest;
  private readonly made: Made;
  private readonly beats: Beats;
  private checkedAt = Date.now();

  constructor(deps: HoldDeps, id: string, request: HoldRequest, made: Made, beats: Beats) {
    this.deps = deps;
    this.id = id;
    this.request = request;
    this.made = made;
    this.beats = beats;
  }

  async keep(): Promise<HoldResult> {
    const { id, request, deps } = this;
    this.beats.beat({ sandbox: id, doing: 'telling the task' });
    for (let told = false; ; ) {
      if (this.beats.signal.aborted) return await this.cancelled();
      if (!(await this.isOurs())) {
        // Its folder was deleted under us: what else there is of it goes too. Not when another lease has it now.
        if (!(await deps.provider.has(id))) await deps.provider.terminate(id);
        return { end: 'gone' };
      }
      try {
        if (!told) {
          const sandbox = { id, epoch: request.epoch, queue: deps.hostQueue };
          if (!(await tellHolder(deps.client, request.holder, { sandbox, ...this.made }))) return await this.orphaned();
          told = true;
          this.beats.beat({ sandbox: id, epoch: request.epoch });
        }
        if (await this.isOrphaned()) return await this.orphaned();
      } catch (error) {
        // A server that is away loses no sandbox: it is asked again.
        deps.log.warn({ sandbox: id, error: String(error) }, 'the holder of a sandbox could not be asked after');
      }
      const ending = deps.collected.has(id);
      if (ending) this.beats.now();
      await wait(ending ? RELEASE_BEAT_MS : LOOK_MS, this.beats.signal);
    }
  }

  private async isOurs(): Promise<boolean> {
    const lease = await this.deps.records.lease(this.id);
    return lease !== null && lease.epoch === this.request.epoch && (await this.deps.provider.has(this.id));
  }

  private async isOrphaned(fresh = false): Promise<boolean> {
    if (!fresh && Date.now() - this.checkedAt < CHECK_MS) return false;
    const { ancestors, holder } = this.request;
    const check = await this.deps.chains.check([...ancestors, holder], { fresh });
    this.checkedAt = Date.now();
    return check.kind === 'orphaned';
  }

  private async orphaned(): Promise<HoldResult> {
    await this.terminate('its task or run has ended');
    return { end: 'orphaned' };
  }

  /** Never returns. */
  private async cancelled(): Promise<never> {
    const details = Context.current().cancellationDetails;
    if (details?.cancelRequested === true) await this.terminate('released');
    else if (details?.timedOut === true || details?.notFound === true) {
      const over = await this.isOrphaned(true).catch(() => false);
      if (over && (await this.isOurs())) await this.terminate('its lease was lost and its task has ended');
    }
    await throwIfCancelled(this.beats.signal);
    throw new CancelledFailure('CANCELLED');
  }

  private async terminate(why: string): Promise<void> {
    const { deps, id } = this;
    await deps.pushes.settled(id);
    await deps.provider.terminate(id);
    deps.pushes.forget(id);
    await deps.checkpointStore.forget(id);
    deps.log.info({ sandbox: id, task: this.request.holder.workflowId, why }, 'sandbox terminated');
  }
}

/** Resolves after the time, or as soon as the signal is aborted. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}
