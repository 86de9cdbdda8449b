/** The task that holds a lease, as the server knows it. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { LeasedMessage } from '../../../shared/contracts/sandbox.ts';
import type { Chain } from '../../../shared/base/ids.ts';
import { leasedSignal } from '../../../shared/messages.ts';
import { firstRunOf } from '../../support/chain-watch.ts';

/**
 * Tells the holder of its sandbox. false: it has ended, or its id is another chain's by now. The signal goes to
 * the very run that was described, so a chain that takes the id over in between never gets it.
 */
export async function tellHolder(client: Client, holder: Chain, message: LeasedMessage): Promise<boolean> {
  try {
    const found = await client.workflow.getHandle(holder.workflowId).describe();
    if (firstRunOf(found) !== holder.firstRunId) return false;
    await client.workflow.getHandle(holder.workflowId, found.runId).signal(leasedSignal, message);
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
