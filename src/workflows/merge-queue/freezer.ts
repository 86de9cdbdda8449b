/**
 * A red branch is frozen for as long as the run that mends it goes on. Looks whether it does: a run that was terminated
 * thaws nothing. What a person has frozen, and what has no run to ask after, stays frozen: the remote has that too, as
 * a workflow may be ended.
 */
import { allHandlersFinished, CancellationScope, condition, isCancellation, log, patched } from '@temporalio/workflow';
import type { Freeze } from '../../shared/contracts/gate.ts';
import type { MergeQueueInput } from '../../shared/contracts/merge.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { MERGE_TEXT } from '../../shared/merge-queue/text.ts';
import { sameChain } from '../../shared/base/ids.ts';
import { freezeActivities } from '../support/activity-policies.ts';
import { endedAncestor } from '../support/orphans.ts';
import type { MergeQueueState } from './state.ts';

/** Soon at first, then less often: a red branch may take hours to mend. */
const LOOK_MS = { first: 5_000, most: 60_000 };

/** When to look next at what a red branch waits for; however often something else happens meanwhile. */
export class Looks {
  private times = 0;
  private at: number | undefined;

  /** How long until the next look, in ms; 0: it is time. */
  dueIn(now: number): number {
    this.at ??= now + Math.min(LOOK_MS.most, LOOK_MS.first * 2 ** this.times);
    return Math.max(0, this.at - now);
  }

  looked(): void {
    this.times += 1;
    this.at = undefined;
  }

  /** There is nothing to look at any more. */
  reset(): void {
    this.times = 0;
    this.at = undefined;
  }
}

/** Thaws the branch when the run that froze it has ended. @returns what was done, in words; undefined: nothing. */
export async function thawWithoutMender(queue: MergeQueueState): Promise<string | undefined> {
  const freeze = queue.frozen.find(({ by, chain }) => by === 'reconciler' && chain !== undefined);
  if (freeze?.chain === undefined) return undefined;
  const { chain, reason } = freeze;
  if ((await endedAncestor([chain])) === undefined) return undefined;
  // Another run may have found it red meanwhile.
  if (!queue.frozen.some((now) => now.chain !== undefined && sameChain(now.chain, chain))) return undefined;
  queue.thaw('reconciler', chain);
  return MERGE_TEXT.freezerEnded(chain.workflowId, reason);
}

/** How long a person waits until the remote has heard of what they said. */
const KEEP_WAIT = '10s';
/** So often a queue that cannot read looks whether anybody wants that. */
const UNWANTED_EVERY = '15s';

/**
 * A person's freeze, on the remote. Read once, by a queue that begins with nothing; from then on the remote follows
 * the queue. Not in histories of earlier versions.
 */
export class KeptFreeze {
  hasRead: boolean;
  /** Why the remote does not have it, where it never will. */
  failure: string | undefined;
  private readonly keeps: boolean;
  private readonly input: Pick<MergeQueueInput, 'repo' | 'target'>;
  private readonly state: MergeQueueState;
  /** What the remote has; undefined: that is not known. */
  private remote: Freeze | null | undefined;
  private keeping: Promise<void> | undefined;

  constructor({ repo, target, state: carried }: MergeQueueInput, state: MergeQueueState) {
    this.input = { repo, target };
    this.state = state;
    this.keeps = patched('kept freeze');
    this.hasRead = !this.keeps || carried !== undefined;
    if (this.keeps && carried !== undefined && this.due !== null) this.begin();
  }

  /** Before anything lands. @returns false where that cannot be known yet, and nobody waits for it. */
  async read(): Promise<boolean> {
    if (this.hasRead) return true;
    const scope = new CancellationScope();
    void scope.run(() => this.readNow()).catch(() => undefined);
    while (!(await condition(() => this.hasRead, UNWANTED_EVERY))) {
      const { requests, frozen } = this.state;
      if (requests.length + frozen.length > 0 || !allHandlersFinished()) continue;
      scope.cancel();
      return false;
    }
    return true;
  }

  private async readNow(): Promise<void> {
    try {
      const { freeze } = await freezeActivities.readFreeze(this.input);
      // Who has frozen it meanwhile knows better.
      if (freeze !== null && this.due === null) this.state.freeze(freeze);
      this.remote ??= freeze;
    } catch (error) {
      if (isCancellation(error)) throw error;
      // Only what no retry mends: landing says the same, to those who wait for it.
      log.error('whether a person has frozen the branch cannot be read', { reason: rootMessage(error) });
    }
    this.hasRead = true;
  }

  /** Whether it has been read, within what a person waits. */
  async isKnown(): Promise<boolean> {
    return await condition(() => this.hasRead, KEEP_WAIT);
  }

  /** Brings the remote up to the queue. @returns whether it is, within what a person waits. */
  async keep(): Promise<boolean> {
    if (!this.keeps) return true;
    this.begin();
    await condition(() => this.isSettled, KEEP_WAIT);
    return this.isSame;
  }

  /** Resolves when nothing is being kept, and everyone who said something has been answered. */
  async settled(): Promise<void> {
    if (this.keeps) await condition(() => this.isSettled && allHandlersFinished());
  }

  get isSettled(): boolean {
    return this.keeping === undefined;
  }

  /** Whether the remote has the freeze of a person; undefined where there is none. */
  get isKept(): boolean | undefined {
    return this.due === null ? undefined : this.keeps && this.isSame;
  }

  private get due(): Freeze | null {
    return this.state.frozen.find(({ by }) => by === 'person') ?? null;
  }

  private get isSame(): boolean {
    const { remote, due } = this;
    return remote?.since === due?.since && remote?.reason === due?.reason && remote !== undefined;
  }

  private begin(): void {
    this.failure = undefined;
    this.keeping ??= this.follow().finally(() => (this.keeping = undefined));
  }

  private async follow(): Promise<void> {
    while (!this.isSame) {
      const freeze = this.due;
      try {
        await freezeActivities.keepFreeze({ ...this.input, freeze });
        this.remote = freeze;
      } catch (error) {
        if (isCancellation(error)) throw error;
        this.failure = rootMessage(error);
        log.error('the remote does not keep the freeze of a person', { reason: this.failure });
        return;
      }
    }
  }
}
