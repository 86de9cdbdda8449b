/** What Temporal's clients would not send: payloads that say that they are JSON and are not. */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';

const payloads = (data: string) => ({
  payloads: [{ metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from(data) }],
});

/** By gRPC, with `data` as the one argument, as it is. */
export function rawMessages({ workflowService, options: { namespace } }: Client) {
  const to = (workflowId: string) => ({ namespace, workflowExecution: { workflowId } });
  return {
    async start(type: string, workflowId: string, taskQueue: string, data: string): Promise<void> {
      await workflowService.startWorkflowExecution({
        namespace,
        workflowId,
        workflowType: { name: type },
        taskQueue: { name: taskQueue },
        input: payloads(data),
        requestId: randomUUID(),
      });
    },
    async signal(workflowId: string, signalName: string, data: string): Promise<void> {
      await workflowService.signalWorkflowExecution({ ...to(workflowId), signalName, input: payloads(data) });
    },
    /** Why it was refused; undefined when it was not. */
    async update(workflowId: string, name: string, data: string): Promise<string | undefined> {
      const { outcome } = await workflowService.updateWorkflowExecution({
        ...to(workflowId),
        request: { meta: { updateId: randomUUID() }, input: { name, args: payloads(data) } },
        // UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
        waitPolicy: { lifecycleStage: 3 },
      });
      return outcome?.failure?.message ?? undefined;
    },
  };
}
