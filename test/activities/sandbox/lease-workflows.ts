/** Stands where a task stands: leases a sandbox, gets the signal `leased`, gives it back, or adopts it. */
import {
  ActivityCancellationType,
  CancellationScope,
  condition,
  defineQuery,
  defineSignal,
  isCancellation,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { SandboxActivities } from '../../../src/shared/contracts/activities.ts';
import type { HoldRequest, LeasedMessage } from '../../../src/shared/contracts/sandbox.ts';
import { leasedSignal } from '../../../src/shared/messages.ts';

export type HolderRequest = {
  hold: Omit<HoldRequest, 'holder' | 'epoch' | 'ancestors'>;
  queue: string;
  adopt?: { queue: string };
};
export const releaseSignal = defineSignal('release');
export const adoptSignal = defineSignal('adopt');
export const leasedQuery = defineQuery<LeasedMessage[]>('leases');

export async function holder({ hold, queue }: HolderRequest): Promise<string[]> {
  const { workflowId, firstExecutionRunId } = workflowInfo();
  const leases: LeasedMessage[] = [];
  const ends: string[] = [];
  let adopting = false;
  let scope = new CancellationScope();
  setHandler(leasedSignal, (message) => void leases.push(message));
  setHandler(leasedQuery, () => leases);
  setHandler(releaseSignal, () => scope.cancel());
  setHandler(adoptSignal, () => void (adopting = true));
  const request = { ...hold, holder: { workflowId, firstRunId: firstExecutionRunId }, ancestors: [] };
  const activities = (taskQueue: string) =>
    proxyActivities<SandboxActivities>({
      taskQueue,
      startToCloseTimeout: '10m',
      heartbeatTimeout: '10s',
      cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
      retry: { maximumAttempts: 1 },
    });
  const run = async (body: () => Promise<{ end: string }>) => {
    scope = new CancellationScope();
    try {
      ends.push((await scope.run(body)).end);
    } catch (error) {
      ends.push(isCancellation(error) ? 'cancelled' : String((error as Error).cause ?? error));
    }
  };
  await run(() => activities(queue).holdSandbox({ ...request, epoch: 1 }));
  const sandbox = leases[0]?.sandbox;
  if (sandbox !== undefined && ends[0] !== 'cancelled' && ends[0] !== 'gone') {
    await condition(() => adopting);
    await run(() => activities(sandbox.queue).adoptSandbox({ ...request, epoch: 2, sandbox }));
  }
  return ends;
}
