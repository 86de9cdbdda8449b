/**
 * A red branch is frozen for as long as the run that mends it goes on. Looks whether it does: a run that was terminated
 * thaws nothing. What a person has frozen, and what has no run to ask after, stays frozen.
 */
import { MERGE_TEXT } from '../../shared/merge-queue/text.ts';
import { sameChain } from '../../shared/base/ids.ts';
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
