/**
 * A run's workflows that cannot go on, as their workflow tasks keep failing: the root looks after all below it, as a
 * task only waits for its agent. It names them, and ends each after its time, so that what waits for it goes on.
 */
import { isCancellation, log, workflowInfo } from '@temporalio/workflow';
import type { RunContext } from '../../shared/contracts/run.ts';
import type { SeenStuck } from '../../shared/contracts/stuck.ts';
import { isAtOrBelow, seenStuck, STUCK_LOOK_MS } from '../../shared/decisions/stuck.ts';
import { rootMessage } from '../../shared/failures.ts';
import { type Chain, mergeQueueWorkflowId } from '../../shared/ids.ts';
import { RUN_TEXT } from '../../shared/run-text.ts';
import { watchActivities } from '../activities.ts';
import type { PlannerState } from './state.ts';

/** The newest ones. */
const MAX_ENDED = 50;

export type CarriedStuck = { seen: SeenStuck[]; ended: SeenStuck[]; lookedAt: number };

export class StuckWatch {
  private readonly chain: Chain;
  private readonly note: (text: string) => void;
  private readonly onNews: () => void;
  private looking = false;

  /** @param options.onNews called when something has changed that people are shown. */
  constructor(options: { chain: Chain; note: (text: string) => void; onNews: () => void }) {
    this.chain = options.chain;
    this.note = options.note;
    this.onNews = options.onNews;
  }

  /** When there is something to do while anything of the run is open, in ms since the epoch. */
  nextAt(state: PlannerState): number {
    const { seen, lookedAt } = state.stuck();
    if (this.looking) return Math.max(lookedAt, Date.now()) + STUCK_LOOK_MS;
    const isUnwanted = seen.some(({ workflowId: id }) => state.winding.some((w) => isAtOrBelow(id, w.workflowId)));
    return isUnwanted ? 0 : Math.min(lookedAt + STUCK_LOOK_MS, ...seen.map(({ endsAt }) => endsAt));
  }

  /** Looks when it is time, beside all else: a server that answers late keeps nothing from being started. */
  tend(state: PlannerState, context: RunContext): void {
    if (!this.looking && Date.now() >= this.nextAt(state)) void this.look(state, context).catch(() => undefined);
  }

  /** Throws nothing but cancellations. */
  async look(state: PlannerState, { repo, target, settings }: RunContext): Promise<void> {
    const stuck = state.stuck();
    this.looking = true;
    stuck.lookedAt = Date.now();
    try {
      const { workflowId: run } = this.chain;
      const root = workflowInfo().root?.workflowId ?? run;
      const known = [...stuck.seen.map(({ workflowId }) => workflowId), mergeQueueWorkflowId(repo.key, target)];
      const { stuck: found } = await watchActivities.findStuck({ root, run, known, closely: [] });
      const cancelled = state.winding.map(({ workflowId }) => workflowId);
      const terms = { now: Date.now(), stuckMs: settings.stuckMinutes * 60_000, cancelled };
      this.saw(stuck, seenStuck(found, stuck.seen, terms));
      await this.endOverdue(stuck);
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the server could not be asked which workflows cannot go on', { reason: rootMessage(error) });
    } finally {
      this.looking = false;
      // The time of one of them may be before the next look.
      if (stuck.seen.length > 0) this.onNews();
    }
  }

  private saw(stuck: CarriedStuck, now: SeenStuck[]): void {
    const over = stuck.seen.filter(({ runId }) => !now.some((each) => each.runId === runId));
    for (const each of over) this.note(RUN_TEXT.stuckOver(each, Date.now() - each.since));
    if (over.length > 0 || now.length > stuck.seen.length) this.onNews();
    stuck.seen = now;
  }

  private async endOverdue(stuck: CarriedStuck): Promise<void> {
    const overdue = stuck.seen.filter(({ endsAt }) => endsAt <= Date.now());
    if (overdue.length === 0) return;
    const runs = overdue.map(({ workflowId, runId }) => ({ workflowId, runId }));
    // Known before it is heard: what waits for it tells of its end at once.
    stuck.ended = [...stuck.ended, ...overdue].slice(-MAX_ENDED);
    await watchActivities.endWorkflows({ runs, below: [], reason: RUN_TEXT.endedAsStuck });
    stuck.seen = stuck.seen.filter((each) => !overdue.includes(each));
    for (const each of overdue) this.note(RUN_TEXT.stuckEnded(each));
    this.onNews();
  }
}
