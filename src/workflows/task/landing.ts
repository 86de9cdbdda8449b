/** A task's side of the merge queue: asks, waits for the answer, asks again, and notices that it is an orphan. */
import { log } from '@temporalio/workflow';
import type { MergeAnswer, MergeOutcome } from '../../shared/contracts/merge.ts';
import type { RunContext } from '../../shared/contracts/run.ts';
import type { HandoffMessage, TaskSpec } from '../../shared/contracts/task.ts';
import { gateTerms } from '../../shared/decisions/gate/terms.ts';
import { FailureType, terminal } from '../../shared/failures.ts';
import type { Chain } from '../../shared/ids.ts';
import { enqueueActivities } from '../activities.ts';
import { waitUnlessOrphaned } from '../orphans.ts';

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

  /** Resolves with the queue's answer. Throws Orphaned when the run has ended meanwhile. */
  async land(work: {
    commit: string;
    base: string;
    /** Where the task's work began, if that is not `base`. */
    since?: string;
    /** A person has released it, for this reason. */
    released?: string;
    ref: string;
    attempt: number;
    subject: string;
    body: string;
    /** Told before it is enqueued. */
    handoff?: { parent: Chain; message: HandoffMessage } | undefined;
  }): Promise<MergeOutcome> {
    const { run, task, fix, chain, ancestors } = this.options;
    const { attempt, handoff, ...what } = work;
    const id = `${chain.firstRunId}/${attempt}`;
    const enqueue = () =>
      enqueueActivities.enqueueMerge({
        repo: run.repo,
        target: run.target,
        ...(handoff === undefined ? {} : { handoff }),
        entry: {
          id,
          requester: chain,
          root: run.root,
          priority: task.priority,
          author: run.settings.author,
          strategy: run.settings.strategy,
          guard: run.settings.guard,
          gate: gateTerms(run.settings),
          fix,
          ...what,
        },
      });
    await enqueue();
    const lost = await waitUnlessOrphaned(
      ancestors,
      () => this.answers.has(id),
      async (looks) => {
        if (looks % ASK_AGAIN_AFTER_LOOKS !== 0 || this.answers.has(id)) return;
        log.info('no answer of the merge queue yet; asking again', { id });
        await enqueue();
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
