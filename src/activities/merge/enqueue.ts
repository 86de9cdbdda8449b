/** A task's request to its merge queue, with the handoff before it: the planner knows of what is queued before its outcome. */
import type { Client } from '@temporalio/client';
import type { EnqueueRequest } from '../../shared/contracts/activities.ts';
import { mergeQueueWorkflowId } from '../../shared/ids.ts';
import { enqueueSignal, WORKFLOW } from '../../shared/messages.ts';
import type { Log } from '../log.ts';
import { tellParent } from './requesters.ts';

/** A server that does not answer is asked again by whoever called. */
const DEADLINE_MS = 20_000;

export type Enqueue = (request: EnqueueRequest) => Promise<void>;

/**
 * In an activity only. Whoever gets either message again knows it by its id.
 * @param taskQueue where merge queues run.
 * @throws what kept one of them from being told.
 */
export const createEnqueue =
  ({ client, taskQueue, log }: { client: Client; taskQueue: string; log?: Log }): Enqueue =>
  async ({ repo, target, entry, handoff }) => {
    await client.withDeadline(Date.now() + DEADLINE_MS, async () => {
      if (handoff !== undefined) await tellParent(client, handoff, log);
      await client.workflow.signalWithStart(WORKFLOW.mergeQueue, {
        workflowId: mergeQueueWorkflowId(repo.key, target),
        taskQueue,
        args: [{ repo, target }],
        signal: enqueueSignal,
        signalArgs: [entry],
      });
    });
  };
