/** How long the histories of a run's workflows became, and what its planner carried from one to the next. */
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';

type Longest = { events: number; bytes: number };
export type Histories = {
  /** Of all workflows together. */
  events: number;
  planner: Longest & { runs: number; carriedBytes: number };
  others: Longest;
};

/** Of every workflow on this server; visibility is waited for by the caller. */
export async function historiesOf(client: Client, run: string): Promise<Histories> {
  const none = { events: 0, bytes: 0 };
  const histories: Histories = { events: 0, planner: { ...none, runs: 0, carriedBytes: 0 }, others: { ...none } };
  for await (const info of client.workflow.list()) {
    const { historyLength = 0, historySize = 0 } = await lengthsOf(client, info);
    histories.events += historyLength;
    const isPlanner = info.workflowId === run;
    const longest = isPlanner ? histories.planner : histories.others;
    longest.events = Math.max(longest.events, historyLength);
    longest.bytes = Math.max(longest.bytes, historySize);
    if (!isPlanner) continue;
    histories.planner.runs += 1;
    const { events } = await client.workflow.getHandle(info.workflowId, info.runId).fetchHistory();
    const input = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
    const bytes = input.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
    histories.planner.carriedBytes = Math.max(histories.planner.carriedBytes, bytes);
  }
  return histories;
}

/** A workflow that has closed has its lengths in the list. */
async function lengthsOf(client: Client, info: WorkflowExecutionInfo) {
  if (info.status.name !== 'RUNNING') return info;
  return await client.workflow.getHandle(info.workflowId, info.runId).describe();
}
