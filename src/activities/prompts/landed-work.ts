/** What another task was there for and how it ended, read from its workflow's history. */
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { RunContext } from '../../shared/contracts/run.ts';
import { type Handoff, TaskInput, TaskResult, type TaskSpec } from '../../shared/contracts/task.ts';
import { type Chain, CHANGE_TRAILER, TASK_TRAILER } from '../../shared/base/ids.ts';
import type { Log } from '../support/log.ts';

export type LandedWork = { task: TaskSpec; handoff?: Handoff };

/** The task that a landing commit says it is of, by the trailers of its last paragraph. */
export function taskOfCommit(message: string): Chain | undefined {
  const [last = ''] = message
    .trim()
    .split(/\n\s*\n/)
    .slice(-1);
  const value = (key: string): string | undefined => new RegExp(`^${key}: (\\S+)$`, 'm').exec(last)?.[1];
  const workflowId = value(TASK_TRAILER);
  const firstRunId = value(CHANGE_TRAILER);
  return workflowId === undefined || firstRunId === undefined ? undefined : { workflowId, firstRunId };
}

/**
 * @returns a reader that gives null for what is no task of the same repository and branch (anyone may write trailers),
 * and for what the server does not keep any more. It never throws: a conflict can be resolved without it.
 */
export function createReadLandedWork({ client, log }: { client: Client; log: Log }) {
  return async (run: RunContext, { workflowId, firstRunId }: Chain): Promise<LandedWork | null> => {
    try {
      // A task never continues as new: its first run is the only one.
      const { history } = await client.workflowService.getWorkflowExecutionHistory({
        namespace: client.options.namespace,
        execution: { workflowId, runId: firstRunId },
        maximumPageSize: 1,
      });
      const started = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
      const [raw] = await decodeArrayFromPayloads(client.options.loadedDataConverter, started?.input?.payloads);
      const input = TaskInput.safeParse(raw);
      if (!input.success || input.data.run.repo.key !== run.repo.key || input.data.run.target !== run.target)
        return null;
      const { task } = input.data;
      const handle = client.workflow.getHandle(workflowId, firstRunId, { followRuns: false });
      if ((await handle.describe()).status.name !== 'COMPLETED') return { task };
      const result = TaskResult.safeParse(await handle.result());
      return { task, ...(result.success ? { handoff: result.data.handoff } : {}) };
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) {
        log.info({ err: error, workflowId }, 'what a landed task was there for cannot be read');
      }
      return null;
    }
  };
}

export type ReadLandedWork = ReturnType<typeof createReadLandedWork>;
