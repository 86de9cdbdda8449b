/** What a task says when its work is done: its handoff to the planner, and its request to the merge queue. */
import { activityInfo } from '@temporalio/activity';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { EnqueueRequest, HandOffRequest } from '../../shared/contracts/activities.ts';
import { mergeQueueWorkflowId } from '../../shared/base/ids.ts';
import { enqueueSignal, handoffSignal, WORKFLOW } from '../../shared/messages.ts';
import type { Log } from '../support/log.ts';

/** A server that does not answer is asked again by the next attempt. */
const DEADLINE_MS = 20_000;

/** After so many attempts a handoff that cannot be delivered no longer keeps its work from the merge queue. */
const HANDOFF_TRIES = 5;

export type EnqueueDeps = {
  client: Client;
  /** Where merge queues run. */
  taskQueue: string;
  log?: Log;
};

/** Starts the merge queue of a repository and branch with this request, or signals the one that runs. */
export async function enqueue({ client, taskQueue }: EnqueueDeps, request: EnqueueRequest): Promise<void> {
  const { repo, target, entry } = request;
  await client.withDeadline(Date.now() + DEADLINE_MS, async () => {
    await client.workflow.signalWithStart(WORKFLOW.mergeQueue, {
      workflowId: mergeQueueWorkflowId(repo.key, target),
      taskQueue,
      args: [{ repo, target }],
      signal: enqueueSignal,
      signalArgs: [entry],
    });
  });
}

/**
 * In an activity only, as its attempts are counted. A parent that has closed is no error: the result of the task's
 * workflow says the same, and whoever looks after a silent task reads it.
 * @throws what kept the handoff or the request from being delivered.
 */
export async function deliverHandoff(deps: EnqueueDeps, { parent, message, merge }: HandOffRequest): Promise<void> {
  const { client, log } = deps;
  try {
    await client.withDeadline(Date.now() + DEADLINE_MS, async () => {
      await client.workflow.getHandle(parent.workflowId).signal(handoffSignal, message);
    });
  } catch (error) {
    const goesOn = merge !== undefined && activityInfo().attempt >= HANDOFF_TRIES;
    if (!(error instanceof WorkflowNotFoundError) && !goesOn) throw error;
    log?.warn({ parent, task: message.sender, error: String(error) }, 'a handoff could not be delivered');
  }
  if (merge !== undefined) await enqueue(deps, merge);
}
