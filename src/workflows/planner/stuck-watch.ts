/**
 * A run's workflows that cannot go on, as their workflow tasks keep failing: the root looks after all below it, as a
 * task only waits for its agent. It names them, and ends each after its time, so that what waits for it goes on.
 */
import { isCancellation, log, workflowInfo } from '@temporalio/workflow';
import type { RunContext } from '../../shared/contracts/run.ts';
import { isAtOrBelow, seenStuck, STUCK_LOOK_MS } from '../../shared/planner/stuck.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { type Chain, mergeQueueWorkflowId } from '../../shared/base/ids.ts';
import { RUN_TEXT } from '../../shared/planner/text.ts';
import { watchActivities } from '../support/activity-policies.ts';
import type { PlannerState } from './state/planner-state.ts';

export class StuckWatch {
  private readonly planning: { readonly chain: Chain; wake(): void };
  private readonly note: (text: string) => void;
  private looking = false;

  constructor(options: { planning: StuckWatch['planning']; note: (text: string) => void }) {
    this.planning = options.planning;
    this.note = options.note;
  }

  /** When there is something to do while anything of the run is open, in ms since the epoch. */
  nextAt({ stuck, cancelled }: PlannerState): number {
    if (this.looking) return Math.max(stuck.lookedAt, Date.now()) + STUCK_LOOK_MS;
    const isUnwanted = stuck.seen.some(({ workflowId: id }) =>
      cancelled.chains.some((chain) => isAtOrBelow(id, chain.workflowId)),
    );
    return isUnwanted ? 0 : Math.min(stuck.lookedAt + STUCK_LOOK_MS, ...stuck.seen.map(({ endsAt }) => endsAt));
  }

  /** Looks when it is time, beside all else: a server that answers late keeps nothing from being started. */
  tend(state: PlannerState, context: RunContext): void {
    if (!this.looking && Date.now() >= this.nextAt(state)) void this.look(state, context).catch(() => undefined);
  }

  /** Throws nothing but cancellations. */
  async look(state: PlannerState, { repo, target, settings }: RunContext): Promise<void> {
    const { stuck } = state;
    this.looking = true;
    stuck.looked(Date.now());
    try {
      const { workflowId: run } = this.planning.chain;
      const root = workflowInfo().root?.workflowId ?? run;
      const known = [...stuck.seen.map(({ workflowId }) => workflowId), mergeQueueWorkflowId(repo.key, target)];
      const { stuck: found } = await watchActivities.findStuck({ root, run, known, closely: [] });
      const cancelled = state.cancelled.chains.map(({ workflowId }) => workflowId);
      const terms = { now: Date.now(), stuckMs: settings.stuckMinutes * 60_000, cancelled };
      const over = stuck.saw(seenStuck(found, stuck.seen, terms));
      for (const each of over) this.note(RUN_TEXT.stuckOver(each, Date.now() - each.since));
      if (over.length > 0) this.planning.wake();
      await this.endOverdue(state);
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the server could not be asked which workflows cannot go on', { reason: rootMessage(error) });
    } finally {
      this.looking = false;
      // People are shown it, and the time of one of them may be before the next look.
      if (stuck.seen.length > 0) this.planning.wake();
    }
  }

  private async endOverdue({ stuck }: PlannerState): Promise<void> {
    const overdue = stuck.seen.filter(({ endsAt }) => endsAt <= Date.now());
    if (overdue.length === 0) return;
    const runs = overdue.map(({ workflowId, runId }) => ({ workflowId, runId }));
    stuck.ends(overdue);
    await watchActivities.endWorkflows({ runs, below: [], reason: RUN_TEXT.endedAsStuck });
    stuck.ended(overdue);
    for (const each of overdue) this.note(RUN_TEXT.stuckEnded(each));
    this.planning.wake();
  }
}
