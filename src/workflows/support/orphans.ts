/** Waiting without being an orphan: who waits looks now and then whether those it works for still run. */
import { condition, isCancellation, log } from '@temporalio/workflow';
import { rootMessage } from '../../shared/base/failures.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { runActivities } from './activity-policies.ts';

/** Within a minute; less often after the first two hours, so that a long wait does not fill the history. */
const LOOK_EVERY = '45s';
const LOOK_RARELY = '10m';
const OFTEN = 160;

/**
 * Waits until `holds`, looking meanwhile whether the ancestors run. `onLook` is awaited after each look.
 * @returns the ancestor that has ended, or undefined when the condition holds.
 */
export async function waitUnlessOrphaned(
  ancestors: Chain[],
  holds: () => boolean,
  onLook: (looks: number) => Promise<void> = async () => undefined,
): Promise<Chain | undefined> {
  for (let looks = 1; !(await condition(holds, looks <= OFTEN ? LOOK_EVERY : LOOK_RARELY)); looks++) {
    const ended = await endedAncestor(ancestors);
    if (ended !== undefined && !holds()) return ended;
    await onLook(looks);
  }
  return undefined;
}

/** The first of these chains that has ended; undefined when none has, or nobody can tell. */
export async function endedAncestor(ancestors: Chain[]): Promise<Chain | undefined> {
  try {
    const standings = await runActivities.describeChains({ chains: ancestors });
    return ancestors.find((_, i) => standings[i]?.kind !== 'running');
  } catch (error) {
    if (isCancellation(error)) throw error;
    log.warn('ancestors could not be asked after', { reason: rootMessage(error) });
    return undefined;
  }
}
