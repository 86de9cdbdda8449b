import { isCancellation, log } from '@temporalio/workflow';
import type { HandOffRequest } from '../../shared/contracts/activities.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { enqueueActivities } from './activity-policies.ts';

/**
 * The one way by which a task or a subplanner hands off to its planner. Where it cannot be delivered the result of the
 * workflow says the same, and the planner reads that when it asks the server after a child that is silent.
 */
export async function handOff(request: Omit<HandOffRequest, 'merge'>): Promise<void> {
  try {
    await enqueueActivities.handOff(request);
  } catch (error) {
    if (isCancellation(error)) throw error;
    log.warn('the handoff could not be delivered', { parent: request.parent.workflowId, reason: rootMessage(error) });
  }
}
