/** A task's side of the merge queue: asks, waits for the answer, asks again, and notices that it is an orphan. */
import { log } from '@temporalio/workflow';
import type { MergeAnswer, MergeOutcome } from '../../shared/contracts/merge.ts';
import type { RunContext } from '../../shared/contracts/run.ts';
import type { HandOffRequest } from '../../shared/contracts/activities.ts';
import type { TaskSpec } from '../../shared/contracts/task.ts';
import { askToLand, requestId, type WorkToLand } from '../../shared/task/merge-request.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { enqueueActivities } from '../support/activity-policies.ts';
import { waitUnlessOrphaned } from '../support/orphans.ts';
import type { LandedOutcome } from './fate.ts';

/** How many looks after its run until a waiting task asks again. */
const ASK_AGAIN_AFTER_LOOKS = 4;

type LandingOptions = {
  run: RunContext;
  task: TaskSpec;
  /** It mends the branch: it may land while that is red. */
  fix?: boolean | undefined;
  chain: Chain;
  ancestors: Chain[];
};

export class Landing {
  private readonly answers = new Map<string, MergeOutcome>();
  private readonly options: LandingOptions;

  constructor(options: LandingOptions) {
    this.options = options;
  }

  answered(answer: MergeAnswer): void {
    this.answers.set(answer.id, answer.outcome);
  }

  /** What the queue has said of the landing, though nobody waits for it: a change lands once. */
  get landed(): LandedOutcome | undefined {
    return [...this.answers.values()].find((outcome) => outcome.kind === 'landed');
  }

  /**
   * Resolves with the queue's answer. Throws Orphaned when the run has ended meanwhile.
   * @param handOff goes out with the request, before it.
   */
  async land(work: WorkToLand, handOff?: Omit<HandOffRequest, 'merge'>): Promise<MergeOutcome> {
    const { run, task, fix, chain, ancestors } = this.options;
    const id = requestId(chain, work.attempt);
    const merge = askToLand({ run, task, fix, chain }, work);
    if (handOff === undefined) await enqueueActivities.enqueueMerge(merge);
    else await enqueueActivities.handOff({ ...handOff, merge });
    const lost = await waitUnlessOrphaned(
      ancestors,
      () => this.answers.has(id),
      async (looks) => {
        if (looks % ASK_AGAIN_AFTER_LOOKS !== 0 || this.answers.has(id)) return;
        log.info('no answer of the merge queue yet; asking again', { id });
        await enqueueActivities.enqueueMerge(merge);
      },
    );
    if (lost !== undefined) {
      throw terminal(
        FailureType.Orphaned,
        `"${lost.workflowId}" has ended; its merge is not waited for. It may still land.`,
      );
    }
    const outcome = this.answers.get(id);
    if (outcome === undefined) throw terminal(FailureType.Invariant, `the answer to ${id} is gone`);
    return outcome;
  }
}
