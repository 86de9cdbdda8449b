/** What of a run cannot go on, for the command: asked of the server, so that it is known also where the planner is silent. */
import type { Client } from '@temporalio/client';
import { createFindStuck } from '../activities/support/stuck.ts';
import type { StuckWorkflow } from '../shared/contracts/stuck.ts';

/**
 * @param queue the id of the run's merge queue, where it is known.
 * @throws when the server cannot be asked.
 */
export async function findStuck(
  client: Client,
  { run, queue }: { run: string; queue?: string | undefined },
): Promise<StuckWorkflow[]> {
  const found = await client.workflow.getHandle(run).describe();
  const root = found.raw.workflowExecutionInfo?.rootExecution?.workflowId ?? run;
  const known = [run, ...(queue === undefined ? [] : [queue])];
  const find = createFindStuck({ client, log: { warn: () => undefined } });
  return (await find({ root, run, known, closely: [] })).stuck;
}
