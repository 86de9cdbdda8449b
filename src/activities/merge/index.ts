/** The activities of merge queues. */
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { MergeActivities } from '../../shared/contracts/activities.ts';
import { mergeQueueWorkflowId } from '../../shared/ids.ts';
import { enqueueSignal, WORKFLOW } from '../../shared/messages.ts';
import type { Mirrors } from '../git/contract.ts';
import { landBatch } from './land.ts';
import { answerRequesters } from './requesters.ts';

/** A heartbeat timeout well above this can be set on `landBatch`. */
const HEARTBEAT_MS = 2_000;

export function createMergeActivities(deps: {
  mirrors: Mirrors;
  client: Client;
  /** Where queues run. */
  taskQueue: string;
  log?: Logger;
}) {
  const { mirrors, client, taskQueue, log } = deps;
  return {
    async enqueueMerge({ repo, target, entry }) {
      await client.workflow.signalWithStart(WORKFLOW.mergeQueue, {
        workflowId: mergeQueueWorkflowId(repo.key, target),
        taskQueue,
        args: [{ repo, target }],
        signal: enqueueSignal,
        signalArgs: [entry],
      });
    },

    async landBatch(request) {
      const context = Context.current();
      const beating = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
      try {
        const mirror = await mirrors.open(request.repo);
        return await landBatch(mirror, request, { log, signal: context.cancellationSignal });
      } finally {
        clearInterval(beating);
      }
    },

    async answerRequesters(request) {
      await answerRequesters(client, request, log);
    },
  } satisfies MergeActivities;
}
