/** A task's work comes out of its sandbox, or out of another one where that is lost. */
import { isCancellation } from '@temporalio/workflow';
import type { CollectRequest, CollectResult } from '../../shared/contracts/sandbox.ts';
import type { TaskInput } from '../../shared/contracts/task.ts';
import { FailureType, failureTypeOf } from '../../shared/base/failures.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { actOptions, sandboxActivities } from '../support/activity-policies.ts';
import { isTimeout } from '../support/timeouts.ts';
import { type Lease, leasedOrThrow } from './sandbox-lease.ts';

const TRIES = 5;

/** @throws what kept the work from being collected, after some tries in other sandboxes where one was lost. */
export async function collectWork(
  lease: Lease,
  { run, task, fix, chain }: Pick<TaskInput, 'run' | 'task' | 'fix'> & { chain: Chain },
  what: Pick<CollectRequest, 'ref' | 'subject' | 'body' | 'restore'>,
): Promise<CollectResult> {
  const at = Date.now();
  for (let tries = 1; ; tries++) {
    const { sandbox, base } = leasedOrThrow(await lease.ready());
    const request: CollectRequest = {
      run,
      sandbox,
      base,
      task,
      change: chain,
      ...(fix === true ? { fix: true } : {}),
      ...what,
      at,
      ...(tries > 1 ? { again: true } : {}),
    };
    try {
      return await sandboxActivities(sandbox.queue, { ...actOptions, summary: 'collect the work' }).collectWork(
        request,
      );
    } catch (error) {
      const gone = failureTypeOf(error) === FailureType.SandboxGone;
      // A host that does not answer may be lost, with what it has done.
      if (isCancellation(error) || tries >= TRIES || (!gone && !isTimeout(error))) throw error;
      await lease.another(sandbox.epoch, gone ? '2h' : '30s');
      if (lease.end !== undefined) leasedOrThrow(lease.end);
    }
  }
}
