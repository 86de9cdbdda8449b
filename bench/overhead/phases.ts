/** Where a task's time goes, read from its workflow's history. */
import type { Client } from '@temporalio/client';

/** Seconds, each the mean over tasks. */
export type Phases = { sandbox: number; agent: number; collect: number; handOff: number };

/** From the start to the lease, over the agent's work, its collection, to the signal that hands off. */
export async function phasesOf(client: Client, workflowIds: readonly string[]): Promise<Phases> {
  const sum: Phases = { sandbox: 0, agent: 0, collect: 0, handOff: 0 };
  for (const workflowId of workflowIds) {
    const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
    const at = (key: string): number => {
      const event = events?.find((each) => each[key as 'eventTime'] != null);
      return Number(event?.eventTime?.seconds ?? 0) + Number(event?.eventTime?.nanos ?? 0) / 1e9;
    };
    const started = at('workflowExecutionStartedEventAttributes');
    const leased = at('workflowExecutionSignaledEventAttributes');
    const ended = at('childWorkflowExecutionCompletedEventAttributes');
    const collected = at('activityTaskCompletedEventAttributes');
    const told = at('signalExternalWorkflowExecutionInitiatedEventAttributes');
    sum.sandbox += leased - started;
    sum.agent += ended - leased;
    sum.collect += collected - ended;
    sum.handOff += told - collected;
  }
  const mean = (seconds: number): number => seconds / workflowIds.length;
  return { sandbox: mean(sum.sandbox), agent: mean(sum.agent), collect: mean(sum.collect), handOff: mean(sum.handOff) };
}
