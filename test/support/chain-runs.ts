/** Runs of a chain of continue-as-new, as the server has them. */
import type { Client } from '@temporalio/client';

/** Run ids of a workflow's newest chain, oldest first. */
export async function chainRuns(client: Client, workflowId: string): Promise<string[]> {
  const runs: string[] = [];
  let runId: string = (await client.workflow.getHandle(workflowId).describe()).runId;
  while (runId !== '') {
    runs.unshift(runId);
    const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    runId = events?.[0]?.workflowExecutionStartedEventAttributes?.continuedExecutionRunId ?? '';
  }
  return runs;
}
