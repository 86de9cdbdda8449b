/** The activities of merge queues. */
import type { Client } from '@temporalio/client';
import type { Log } from '../log.ts';
import type { MergeActivities } from '../../shared/contracts/activities.ts';
import { mergeQueueWorkflowId } from '../../shared/ids.ts';
import { enqueueSignal, WORKFLOW } from '../../shared/messages.ts';
import type { Mirrors } from '../git/contract.ts';
import { heartbeating } from '../heartbeats.ts';
import { landBatch } from './land.ts';
import { answerRequesters } from './requesters.ts';

/** All heartbeat. */
export function createMergeActivities(deps: {
  mirrors: Mirrors;
  client: Client;
  /** Where queues run. */
  taskQueue: string;
  log?: Log;
}) {
  const { mirrors, client, taskQueue, log } = deps;
  return {
    enqueueMerge({ repo, target, entry }) {
      return heartbeating(async () => {
        await client.workflow.signalWithStart(WORKFLOW.mergeQueue, {
          workflowId: mergeQueueWorkflowId(repo.key, target),
          taskQueue,
          args: [{ repo, target }],
          signal: enqueueSignal,
          signalArgs: [entry],
        });
      });
    },

    landBatch(request) {
      return heartbeating(async (signal) => {
        const result = await landBatch(await mirrors.open(request.repo), request, { log, signal });
        for (const { id, outcome } of result.outcomes) {
          const { kind } = outcome;
          if ((kind !== 'landed' && kind !== 'held') || outcome.lost === undefined) continue;
          log?.warn({ id, kind, lost: outcome.lost }, 'a landing takes away what others have landed');
        }
        return result;
      });
    },

    answerRequesters(request) {
      return heartbeating(() => answerRequesters(client, request, log));
    },
  } satisfies MergeActivities;
}
