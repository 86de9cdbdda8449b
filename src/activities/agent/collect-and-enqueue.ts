/**
 * One activity for the work of a task and its place in the merge queue: a round trip between workflow and server less.
 * What was collected is not lost to a queue that cannot be reached.
 */
import type { FinishActivities, SandboxActivities } from '../../shared/contracts/activities.ts';
import { askForFinished } from '../../shared/task/merge-request.ts';
import { heartbeating } from '../support/heartbeats.ts';
import type { Log } from '../support/log.ts';
import type { Enqueue } from '../merge-queue/enqueue.ts';

export type FinishDeps = { collectWork: SandboxActivities['collectWork']; enqueue: Enqueue; log: Log };

export function createFinishActivities({ collectWork, enqueue, log }: FinishDeps): FinishActivities {
  return {
    collectAndEnqueue(work) {
      return heartbeating(async ({ signal }) => {
        const collected = await collectWork(work.collect);
        const asked = askForFinished(work, collected);
        // A task that is cancelled now has handed nothing off, and what it tells is true.
        if (asked === undefined || signal.aborted) return { collected };
        try {
          await enqueue(asked);
          return { collected, enqueued: true };
        } catch (error) {
          // `enqueueMerge` by itself says what is wrong, with deadlines and retries of its own.
          log.warn({ request: asked.entry.id, error: String(error) }, 'work is collected; it could not be queued yet');
          return { collected };
        }
      });
    },
  };
}
