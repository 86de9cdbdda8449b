/** What a task asks of its merge queue. Pure. */
import type { EnqueueRequest } from '../contracts/activities.ts';
import type { MergeRequest } from '../contracts/merge.ts';
import type { RunContext } from '../contracts/run.ts';
import type { TaskSpec } from '../contracts/task.ts';
import type { Chain } from '../base/ids.ts';
import { gateTerms } from '../merge-queue/gate-terms.ts';

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

export function askToLand({ run, task, fix, chain }: Requester, work: WorkToLand): EnqueueRequest {
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
