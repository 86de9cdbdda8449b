/** Parts of a run by their path: `group/alpha` is the subtask `alpha` of the task `group`. */
import type { Client } from '@temporalio/client';
import { snapshotQuery } from '../shared/messages.ts';
import { usageError } from './errors.ts';
import { cliText } from './text.ts';

/** The workflow of the planner that a task belongs to, and the task's id there; without a path, the run itself. */
export async function findPlace(
  client: Client,
  run: string,
  path: string | undefined,
): Promise<{ planner: string; task?: string }> {
  if (path === undefined) return { planner: run };
  const above = path.split('/');
  const task = above.pop() ?? '';
  let planner = run;
  for (const [i, id] of above.entries()) {
    const { tasks } = await client.workflow.getHandle(planner).query(snapshotQuery);
    const workflow = tasks.find((each) => each.id === id)?.workflow;
    if (workflow === undefined) throw usageError(cliText.noPlace(run, above.slice(0, i + 1).join('/')));
    planner = workflow;
  }
  return { planner, task };
}
