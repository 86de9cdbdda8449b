/** A task's side of the merge queue: asks, waits for the answer, asks again, and notices that it is an orphan. */
import { condition, log } from '@temporalio/workflow';
import type { MergeAnswer, MergeOutcome } from '../shared/contracts/merge.ts';
import type { RunContext } from '../shared/contracts/run.ts';
import type { TaskSpec } from '../shared/contracts/task.ts';
import { FailureType, terminal } from '../shared/failures.ts';
import type { Chain } from '../shared/ids.ts';
import { mergeActivities, runActivities } from './activities.ts';

/** How often a waiting task looks whether its run still lives, and how many looks until it asks again. */
const LOOK_EVERY = '45s';
const ASK_AGAIN_AFTER_LOOKS = 4;

export class Landing {
  private readonly answers = new Map<string, MergeOutcome>();
  private readonly options: { run: RunContext; task: TaskSpec; chain: Chain; ancestors: Chain[]; ref: string };

  constructor(options: { run: RunContext; task: TaskSpec; chain: Chain; ancestors: Chain[]; ref: string }) {
    this.options = options;
  }

  answered(answer: MergeAnswer): void {
    this.answers.set(answer.id, answer.outcome);
  }

  /** Resolves with the queue's answer. Throws Orphaned when the run has ended meanwhile. */
  async land(work: { commit: string; base: string; attempt: number; subject: string; body: string }): Promise<MergeOutcome> {
    const { run, task, chain, ancestors, ref } = this.options;
    const { attempt, ...what } = work;
    const id = `${chain.firstRunId}/${attempt}`;
    const enqueue = () =>
      mergeActivities.enqueueMerge({
        repo: run.repo,
        target: run.target,
        entry: {
          id,
          requester: chain,
          root: run.root,
          ref,
          priority: task.priority,
          author: run.settings.author,
          ...what,
        },
      });
    await enqueue();
    for (let looks = 1; !(await condition(() => this.answers.has(id), LOOK_EVERY)); looks++) {
      const standings = await runActivities.describeChains({ chains: ancestors });
      const lost = ancestors.find((_, i) => standings[i]?.kind !== 'running');
      if (lost !== undefined) {
        throw terminal(FailureType.Orphaned, `"${lost.workflowId}" has ended; its merge is not waited for. It may still land.`);
      }
      if (looks % ASK_AGAIN_AFTER_LOOKS === 0) {
        log.info('no answer of the merge queue yet; asking again', { id });
        await enqueue();
      }
    }
    const outcome = this.answers.get(id);
    if (outcome === undefined) throw terminal(FailureType.Invariant, `the answer to ${id} is gone`);
    return outcome;
  }
}
