/** What a run does about its workflows that cannot go on, and when. Pure functions of values. */
import type { SeenStuck, StuckWorkflow } from '../contracts/stuck.ts';

/** How often a run asks the server which of its workflows cannot go on. */
export const STUCK_LOOK_MS = 30_000;
/** How often a planner looks after what it has cancelled. */
export const WIND_LOOK_MS = 10_000;
/** So long after it was cancelled whatever is left of it is terminated. */
export const WIND_MS = 120_000;

/** Whether a workflow is this one or below it. */
export const isAtOrBelow = (id: string, above: string): boolean => id === above || id.startsWith(`${above}/`);

/**
 * What was found now, each with since when that is known and when it is ended.
 * @param cancelled ids of workflows of which nothing is wanted any more: what is stuck there is ended at once.
 */
export function seenStuck(
  found: readonly StuckWorkflow[],
  before: readonly SeenStuck[],
  { now, stuckMs, cancelled }: { now: number; stuckMs: number; cancelled: readonly string[] },
): SeenStuck[] {
  return found.map((stuck) => {
    const since = before.find(
      ({ workflowId, runId }) => workflowId === stuck.workflowId && runId === stuck.runId,
    )?.since;
    const unwanted = cancelled.some((above) => isAtOrBelow(stuck.workflowId, above));
    return { ...stuck, since: since ?? now, endsAt: unwanted ? now : (since ?? now) + stuckMs };
  });
}
