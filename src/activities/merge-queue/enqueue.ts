/** A task's request to its merge queue, with the handoff before it: the planner knows of what is queued before its outcome. */
import type { Client } from '@temporalio/client';
import type { EnqueueRequest } from '../../shared/contracts/activities.ts';
import { mergeQueueWorkflowId } from '../../shared/base/ids.ts';
import { enqueueSignal, WORKFLOW } from '../../shared/messages.ts';
import type { Log } from '../support/log.ts';
import { tellParent } from './requesters.ts';

/** A server that does not answer is asked again by whoever called. */
const DEADLINE_MS = 20_000;

/** After so many attempts a handoff that cannot be told keeps no work from its queue. */
const HANDOFF_TRIES = 5;

export type Enqueue = (request: EnqueueRequest) => Promise<void>;

/**
 * In an activity only. Whoever gets either message again knows it by its id.
 * @param taskQueue where merge queues run. @param hasAnotherWay whoever calls asks otherwise where this fails: then
 * nothing is queued of which the planner was not told, save where it has ended.
 * @throws what kept one of them from being told.
 */
export const createEnqueue =
  ({
    client,
    taskQueue,
    hasAnotherWay = false,
    log,
  }: {
    client: Client;
    taskQueue: string;
    hasAnotherWay?: boolean;
    log?: Log;
  }): Enqueue =>
  async ({ repo, target, entry, handoff }) => {
    const tries = hasAnotherWay ? Number.POSITIVE_INFINITY : HANDOFF_TRIES;
    await client.withDeadline(Date.now() + DEADLINE_MS, async () => {
      if (handoff !== undefined) await tellParent(client, handoff, { tries, log });
      await client.workflow.signalWithStart(WORKFLOW.mergeQueue, {
        workflowId: mergeQueueWorkflowId(repo.key, target),
        taskQueue,
        args: [{ repo, target }],
        signal: enqueueSignal,
        signalArgs: [entry],
      });
    });
  };
