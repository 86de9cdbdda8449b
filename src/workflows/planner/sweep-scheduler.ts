/**
 * A run's sweeps: when one is due, and what its result changes. While tasks land they come at an interval that the
 * verdicts set; at the end the newest verdict is about the newest work. One at a time.
 */
import { condition, isCancellation, log, ParentClosePolicy, sleep, startChild } from '@temporalio/workflow';
import type { RunContext } from '../../shared/contracts/run.ts';
import type { Green } from '../../shared/contracts/green.ts';
import type { SweptMessage, TriedFix } from '../../shared/contracts/sweep.ts';
import { isSettled } from '../../shared/planner/dispatch.ts';
import {
  AGAIN_MS,
  ASK_MS,
  isLostForGood,
  mayFix,
  nextSweepAt,
  type SweepMode,
  type SweepView,
  wantsSweep,
} from '../../shared/reconciler/times.ts';
import { STUCK_LOOK_MS } from '../../shared/planner/stuck.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { type Chain, reconcilerWorkflowId } from '../../shared/base/ids.ts';
import { WORKFLOW } from '../../shared/messages.ts';
import { RUN_TEXT } from '../../shared/planner/text.ts';
import { enqueueActivities, runActivities } from '../support/activity-policies.ts';
import type { PlannerState } from './state/planner-state.ts';
import type { RunningSweep } from './state/sweeps.ts';
import type { reconciler } from '../reconciler/reconciler.ts';
import { landedWork, type TaskRecord } from './state/task-record.ts';

const OUTCOME_CHARS = 300;
/** A last sweep takes hours where its checks wait for slots, and no day. */
const SWEEP_MS = 24 * 3_600_000;

type Owner = {
  readonly planning: {
    readonly chain: Chain;
    /** Ends a sweep and waits for that; absent until the run is prepared. */
    readonly children: { end(sweeps: Chain[]): Promise<void> } | undefined;
    /** Not in histories of earlier versions. */
    readonly endsStuck: boolean;
    hear(change: (state: PlannerState) => void): void;
  };
  /** Asks after workflows that cannot go on, when it is time. */
  tendStuck(state: PlannerState): void;
};

export class SweepScheduler {
  private readonly owner: Owner;
  private readonly mode: SweepMode;
  private starting = false;
  /** A word that came together with the news that its sweep has begun: signals are heard first. */
  private early: SweptMessage | undefined;

  constructor(owner: Owner, mode: SweepMode) {
    this.owner = owner;
    this.mode = mode;
  }

  /** A sweep has said what it found. */
  swept(state: PlannerState, message: SweptMessage): void {
    if (state.sweeps.seen.running === undefined && this.starting) this.early = message;
    else state.sweeps.heard(message, Date.now());
  }

  /** Between landings: starts the sweep that is due. */
  async tend(state: PlannerState, context: RunContext): Promise<void> {
    const { running } = state.sweeps.seen;
    if (running !== undefined && Date.now() - running.askedAt >= ASK_MS) await this.askAfter(state, running);
    if (wantsSweep(this.viewOf(state, context))) state.sweeps.planFirst(Date.now());
    if (state.sweeps.seen.running === undefined && Date.now() >= this.nextAt(state, context))
      await this.start(state, context);
  }

  /** When `tend` has something to do, in ms since the epoch. */
  nextAt(state: PlannerState, context: RunContext): number {
    const { running, dueAt } = state.sweeps.seen;
    return nextSweepAt(this.viewOf(state, context), { askedAt: running?.askedAt, dueAt });
  }

  /** At the end of a run: sweeps until the verdict is about all that landed. Returns whether there is more to do. */
  async finalize(state: PlannerState, context: RunContext): Promise<boolean> {
    const { status, sweeps } = state;
    for (;;) {
      if (this.owner.planning.endsStuck) await this.over(state);
      while (sweeps.seen.running !== undefined) {
        await condition(() => sweeps.seen.running === undefined, ASK_MS);
        const { running } = sweeps.seen;
        if (running !== undefined) await this.askAfter(state, running);
      }
      // Nothing more can land, so nothing more is begun: whatever is open stays so.
      if (status.refused !== undefined) return false;
      const { pending, newTroubles } = state.planningInput();
      if (pending > 0 || (newTroubles > 0 && status.closing === undefined)) return true;
      if (!wantsSweep(this.viewOf(state, context)) || isLostForGood(sweeps.seen.lost)) return false;
      if (sweeps.seen.lost > 0) await sleep(AGAIN_MS);
      await this.start(state, context);
    }
  }

  /** Waits for the sweep that runs: of a cancelled run, for as long as its tasks have had. Then it is ended. */
  private async over(state: PlannerState): Promise<void> {
    const { sweeps } = state;
    const begun = Date.now();
    for (let { running } = sweeps.seen; running !== undefined; { running } = sweeps.seen) {
      const { closing } = state.status;
      const endsAt = closing?.by === 'cancel' ? (closing.until ?? begun) : begun + SWEEP_MS;
      if (Date.now() >= endsAt) {
        await this.owner.planning.children?.end([running.child]);
        return endedSilently(state, running.child, RUN_TEXT.sweepTooLong);
      }
      const waitMs = Math.min(STUCK_LOOK_MS, endsAt - Date.now());
      await condition(() => sweeps.seen.running === undefined || state.status.closing !== closing, waitMs);
      this.owner.tendStuck(state);
      if (sweeps.seen.running === running && Date.now() - running.askedAt >= ASK_MS)
        await this.askAfter(state, running);
    }
  }

  /** For the report: the newest verdict, and why it is not as it should be. */
  seen(state: PlannerState, { target }: RunContext): { green?: Green; notGreen?: string } {
    const { last } = state.sweeps.seen;
    if (last === undefined) return {};
    const { work: _, ...seen } = last;
    const green = {
      ...seen,
      heals: state.tasks.filter(({ fix, branch }) => fix === true && branch === 'landed').length,
    };
    const why = this.whyNot(green, target);
    return { green, ...(why === undefined ? {} : { notGreen: why }) };
  }

  /** What a run could not check is told and does not fail it; one that is there to check has nothing else to show. */
  private whyNot({ verdict, inherited, reason = '' }: Green, target: string): string | undefined {
    if (verdict === 'red' && inherited !== true) return RUN_TEXT.notGreen(target, reason);
    if (verdict === 'green' || this.mode === 'run') return undefined;
    return RUN_TEXT.notShown(target, verdict === 'none' ? RUN_TEXT.noChecks : reason);
  }

  /** The sweep that runs, to be ended with its run. */
  running(state: PlannerState): Chain[] {
    const { running } = state.sweeps.seen;
    return running === undefined ? [] : [running.child];
  }

  /** A branch is not left frozen by a run that has ended. */
  async leave(state: PlannerState, { repo, target }: RunContext): Promise<void> {
    if (state.sweeps.seen.memory.frozen !== true) return;
    try {
      await enqueueActivities.tellHealth({ repo, target, health: { kind: 'unknown', by: this.owner.planning.chain } });
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the merge queue could not be told that nothing is mended any more', { reason: rootMessage(error) });
    }
  }

  private viewOf(state: PlannerState, { settings }: RunContext): SweepView {
    const { last, memory } = state.sweeps.seen;
    return {
      mode: this.mode,
      sweeps: settings.sweeps,
      isOver: state.status.refused !== undefined || state.status.closing?.by === 'cancel',
      isFrozen: memory.frozen === true,
      isMending: triedFixes(state.tasks).some(({ open }) => open),
      work: landedWork(state.tasks),
      last,
    };
  }

  private async start(state: PlannerState, context: RunContext): Promise<void> {
    const { chain } = this.owner.planning;
    const { sweeps } = state;
    const { memory, rounds } = sweeps.seen;
    const fixes = state.status.closing === undefined && mayFix(this.mode, rounds);
    const share = fixes ? sweeps.reserve() : null;
    const work = landedWork(state.tasks);
    this.starting = true;
    try {
      const child = await startChild<typeof reconciler>(WORKFLOW.reconciler, {
        workflowId: reconcilerWorkflowId(chain.workflowId),
        args: [
          {
            run: context,
            parent: chain,
            ancestors: [chain],
            memory,
            tried: triedFixes(state.tasks),
            taken: state.tasks.map(({ spec }) => spec.id),
            fix: share !== null,
            ...(share == null ? {} : { budget: share }),
            all: this.mode === 'reconcile' || context.settings.checks.length > 0,
          },
        ],
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: `sweep ${memory.number + 1} of ${context.target}`,
      });
      const begun = { workflowId: child.workflowId, firstRunId: child.firstExecutionRunId };
      sweeps.started(begun, work, Date.now());
      if (this.early !== undefined) sweeps.heard(this.early, Date.now());
      void child.result().then(
        () => undefined,
        (error: unknown) => this.owner.planning.hear((now) => endedSilently(now, begun, rootMessage(error))),
      );
    } catch (error) {
      if (isCancellation(error)) throw error;
      // An orphan of an earlier run of this id may hold the name.
      warnOfNoVerdict(rootMessage(error));
      sweeps.failed(rootMessage(error), work, Date.now());
    } finally {
      this.starting = false;
      this.early = undefined;
    }
  }

  private async askAfter(state: PlannerState, { child }: RunningSweep): Promise<void> {
    state.sweeps.asked(Date.now());
    try {
      const [standing] = await runActivities.describeChains({ chains: [child] });
      if (standing === undefined || standing.kind === 'running') return;
      // Its word may have come while the server was asked.
      endedSilently(state, child, standing.kind === 'failed' ? standing.reason : standing.kind);
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('a sweep could not be asked after', { reason: rootMessage(error) });
    }
  }
}

function endedSilently(state: PlannerState, child: Chain, reason: string): void {
  if (state.sweeps.endedSilently(child, reason, Date.now())) warnOfNoVerdict(reason);
}

function warnOfNoVerdict(reason: string): void {
  log.warn('a sweep ended without a verdict', { reason });
}

function triedFixes(tasks: readonly TaskRecord[]): TriedFix[] {
  return tasks
    .filter(({ fix }) => fix === true)
    .map((task) => ({
      id: task.spec.id,
      open: !isSettled(task),
      outcome: [
        task.status,
        task.branch === 'none' ? '' : task.branch,
        task.outcome.loss?.reason ?? task.spec.description,
      ]
        .filter((part) => part !== '')
        .join(', ')
        .slice(0, OUTCOME_CHARS),
    }));
}
