/** The task queues of this deployment, from the one that this workflow runs on. */
import { workflowInfo } from '@temporalio/workflow';
import { reservedQueue, sandboxQueue } from '../../shared/queues.ts';

export function queueNames(): { sandbox: string; reserved: string } {
  const { taskQueue } = workflowInfo();
  return { sandbox: sandboxQueue(taskQueue), reserved: reservedQueue(taskQueue) };
}
