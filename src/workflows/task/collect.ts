/** A task's work comes out of its sandbox, from another one where that is lost; and is queued at once where it can be. */
import { isCancellation } from '@temporalio/workflow';
import type { FinishActivities } from '../../shared/contracts/activities.ts';
import type { AgentResult } from '../../shared/contracts/agent-run.ts';
import type { CollectRequest } from '../../shared/contracts/sandbox.ts';
import type { TaskInput } from '../../shared/contracts/task.ts';
import { FailureType, failureTypeOf } from '../../shared/base/failures.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { actOptions, finishActivities, sandboxActivities } from '../support/activity-policies.ts';
import { isTimeout } from '../support/timeouts.ts';
import { type Lease, leasedOrThrow } from './sandbox-lease.ts';

const TRIES = 5;

export type Finished = Awaited<ReturnType<FinishActivities['collectAndEnqueue']>>;

export class Collecting {
  /** The work may have been queued, and the planner told so, by an activity of which nothing was heard. */
  mayHaveQueued = false;
  private readonly input: TaskInput;
  private readonly chain: Chain;

  constructor(input: TaskInput, chain: Chain) {
    this.input = input;
    this.chain = chain;
  }

  /** @param agent whose work is queued where it is to land; otherwise it is only collected. */
  async collect(
    lease: Lease,
    what: Pick<CollectRequest, 'ref' | 'subject' | 'body' | 'restore'>,
    agent?: AgentResult,
  ): Promise<Finished> {
    const { run, task, fix } = this.input;
    const at = Date.now();
    for (let tries = 1; ; tries++) {
      const { sandbox, base } = leasedOrThrow(await lease.ready());
      const request: CollectRequest = {
        run,
        sandbox,
        base,
        task,
        change: this.chain,
        ...(fix === true ? { fix: true } : {}),
        ...what,
        at,
        ...(tries > 1 ? { again: true } : {}),
      };
      try {
        return await this.collectFrom(request, agent);
      } catch (error) {
        const gone = failureTypeOf(error) === FailureType.SandboxGone;
        // A host that does not answer may be lost, with what it has done.
        if (isCancellation(error) || tries >= TRIES || (!gone && !isTimeout(error))) throw error;
        await lease.another(sandbox.epoch, gone ? '2h' : '30s');
        if (lease.end !== undefined) leasedOrThrow(lease.end);
      }
    }
  }

  private async collectFrom(collect: CollectRequest, agent: AgentResult | undefined): Promise<Finished> {
    const { queue } = collect.sandbox;
    if (agent === undefined) {
      const activities = sandboxActivities(queue, { ...actOptions, summary: 'collect the work' });
      return { collected: await activities.collectWork(collect) };
    }
    const { parent, attempt } = this.input;
    const { handoff, metrics, checks } = agent;
    const said = { handoff, metrics, ...(checks === undefined ? {} : { checks }) };
    this.mayHaveQueued = true;
    const finished = await finishActivities(queue).collectAndEnqueue({ collect, agent: said, parent, attempt });
    // An earlier try may have queued more than there is now.
    this.mayHaveQueued = collect.again === true && finished.enqueued !== true;
    return finished;
  }
}
