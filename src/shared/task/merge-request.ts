/** What a task asks of its merge queue: by itself, or in the activity that collects its work. Pure. */
import { bodyOf } from '../base/commit-text.ts';
import type { EnqueueRequest, FinishedWork } from '../contracts/activities.ts';
import type { MergeRequest } from '../contracts/merge.ts';
import type { RunContext } from '../contracts/run.ts';
import type { CollectResult } from '../contracts/sandbox.ts';
import type { TaskSpec } from '../contracts/task.ts';
import type { Chain } from '../base/ids.ts';
import { gateTerms } from '../merge-queue/gate-terms.ts';
import { finishedHandoff, handoffMessage, isToLand, workedOn } from './handoff.ts';

export type Requester = {
  run: RunContext;
  task: Pick<TaskSpec, 'priority'>;
  /** It mends the branch: it may land while that is red. */
  fix?: boolean | undefined;
  chain: Chain;
};

/** Work that is on the remote. */
export type WorkToLand = Pick<MergeRequest, 'commit' | 'base' | 'since' | 'released' | 'ref' | 'subject' | 'body'> & {
  /** Counts the tries of one task: each is a request of its own. */
  attempt: number;
};

export function askToLand({ run, task, fix, chain }: Requester, work: WorkToLand): Omit<EnqueueRequest, 'handoff'> {
  const { attempt, ...what } = work;
  return {
    repo: run.repo,
    target: run.target,
    entry: {
      id: requestId(chain, attempt),
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
  };
}

export const requestId = (chain: Chain, attempt: number): string => `${chain.firstRunId}/${attempt}`;

/** What is told and asked for work that was collected; undefined where nothing is to land. */
export function askForFinished(
  { collect, parent, attempt, agent }: FinishedWork,
  collected: CollectResult,
): EnqueueRequest | undefined {
  const { run, task, change, ref, subject, fix } = collect;
  const base = collected.base ?? collect.base;
  const handoff = finishedHandoff(workedOn(agent), { run, task }, { ...collected, base, ref });
  if (!isToLand(handoff)) return undefined;
  const { commit, summary } = handoff;
  const body = bodyOf(summary);
  return {
    ...askToLand({ run, task, fix, chain: change }, { commit, base, ref, attempt: 1, subject, body }),
    handoff: { parent, message: handoffMessage({ chain: change, task, attempt }, handoff, true) },
  };
}
