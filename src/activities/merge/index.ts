/** The activities of merge queues. */
import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { Log } from '../log.ts';
import type { MergeActivities } from '../../shared/contracts/activities.ts';
import { mergeQueueWorkflowId } from '../../shared/ids.ts';
import { enqueueSignal, WORKFLOW } from '../../shared/messages.ts';
import type { Mirrors } from '../git/contract.ts';
import { landBatch } from './land.ts';
import { answerRequesters } from './requesters.ts';

/** A heartbeat timeout well above this can be set on `landBatch` and `answerRequesters`. */
const HEARTBEAT_MS = 2_000;

export function createMergeActivities(deps: {
  mirrors: Mirrors;
  client: Client;
  /** Where queues run. */
  taskQueue: string;
  log?: Log;
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

    landBatch(request) {
      return heartbeating(async (signal) => landBatch(await mirrors.open(request.repo), request, { log, signal }));
    },

    answerRequesters(request) {
      return heartbeating(() => answerRequesters(client, request, log));
    },
  } satisfies MergeActivities;
}

async function heartbeating<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const context = Context.current();
  const beating = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
  try {
    return await body(context.cancellationSignal);
  } finally {
    clearInterval(beating);
  }
}
