/**
 * A run's sweeps: when one is due, and what its result changes. While tasks land they come at an interval that the
 * verdicts set; at the end the newest verdict is about the newest work. One at a time.
 */
import { condition, isCancellation, log, ParentClosePolicy, setHandler, sleep, startChild } from '@temporalio/workflow';
import type { RunContext } from '../../shared/contracts/run.ts';
import type { Green } from '../../shared/contracts/green.ts';
import { type SweepMemory, SweptMessage, type SweepResult, type TriedFix } from '../../shared/contracts/sweep.ts';
import { isSettled } from '../../shared/decisions/dispatch.ts';
import { newMemory } from '../../shared/decisions/sweep.ts';
import {
  afterLostMs,
  AGAIN_MS,
  ASK_MS,
  isLostForGood,
  mayFix,
  nextSweepAt,
  type SweepMode,
  type SweepView,
  wantsSweep,
} from '../../shared/decisions/sweep-times.ts';
import { STUCK_LOOK_MS } from '../../shared/decisions/stuck.ts';
import { rootMessage } from '../../shared/failures.ts';
import { type Chain, reconcilerWorkflowId, sameChain } from '../../shared/ids.ts';
import { sweptSignal, WORKFLOW } from '../../shared/messages.ts';
import { RUN_TEXT } from '../../shared/run-text.ts';
import { SWEEP_TEXT } from '../../shared/sweep-text.ts';
import { enqueueActivities, runActivities } from '../activities.ts';
import { parseSignal } from '../input.ts';
import type { PlannerState } from './state.ts';
import type { reconciler } from '../reconciler/reconciler.ts';
import { landedWork, type TaskRecord } from './tasks/records.ts';

const OUTCOME_CHARS = 300;
/** A last sweep takes hours where its checks wait for slots, and no day. */
const SWEEP_MS = 24 * 3_600_000;

export type CarriedSweeps = {
  memory: SweepMemory;
  /** The newest verdict, and how much work had landed when its sweep began. */
  last?: Omit<Green, 'heals'> & { work: number };
  running?: { child: Chain; work: number; askedAt: number };
  dueAt: number;
  rounds: number;
  /** How many sweeps in a row ended without a word. */
  lost: number;
};

type Owner = {
  chain: Chain;
  hear: (change: (state: PlannerState) => void) => void;
  /** Not in histories of earlier versions. */
  endsStuck: () => boolean;
  /** Looks after workflows that cannot go on, when it is time. */
  tendStuck: () => void;
  /** Cancels a sweep and waits until it has ended; terminates it where it does not. */
  end: (sweep: Chain) => Promise<unknown>;
};

export class Sweeps {
  private readonly owner: Owner;
  private readonly mode: SweepMode;
  private starting = false;
  /** A word that came together with the news that its sweep has begun: signals are heard first. */
  private early: SweptMessage | undefined;

  constructor(owner: Owner, mode: SweepMode) {
    this.owner = owner;
    this.mode = mode;
  }

  listen(): void {
    setHandler(sweptSignal, (raw) => {
      const message = parseSignal(SweptMessage, raw, 'swept');
      if (message !== undefined) this.owner.hear((state) => this.swept(state, message));
    });
  }

  /** Between landings: starts the sweep that is due. */
  async tend(state: PlannerState, context: RunContext): Promise<void> {
    const sweeps = sweepsOf(state);
    const { running } = sweeps;
    if (running !== undefined && Date.now() - running.askedAt >= ASK_MS) await this.askAfter(state, running);
    if (sweeps.dueAt === 0 && wantsSweep(this.viewOf(state, context)))
      sweeps.dueAt = Date.now() + sweeps.memory.intervalMs;
    if (sweeps.running === undefined && Date.now() >= this.nextAt(state, context)) await this.start(state, context);
  }

  /** When `tend` has something to do, in ms since the epoch. */
  nextAt(state: PlannerState, context: RunContext): number {
    const { running, dueAt } = sweepsOf(state);
    return nextSweepAt(this.viewOf(state, context), { askedAt: running?.askedAt, dueAt });
  }

  /** At the end of a run: sweeps until the verdict is about all that landed. Returns whether there is more to do. */
  async finalize(state: PlannerState, context: RunContext): Promise<boolean> {
    for (;;) {
      if (this.owner.endsStuck()) await this.over(state);
      while (sweepsOf(state).running !== undefined) {
        await condition(() => sweepsOf(state).running === undefined, ASK_MS);
        const { running } = sweepsOf(state);
        if (running !== undefined) await this.askAfter(state, running);
      }
      // Nothing more can land, so nothing more is begun: whatever is open stays so.
      if (state.refused !== undefined) return false;
      const { pending, newTroubles } = state.planningInput();
      if (pending > 0 || (newTroubles > 0 && state.closing === undefined)) return true;
      if (!wantsSweep(this.viewOf(state, context)) || isLostForGood(sweepsOf(state).lost)) return false;
      if (sweepsOf(state).lost > 0) await sleep(AGAIN_MS);
      await this.start(state, context);
    }
  }

  /** Waits for the sweep that runs: of a cancelled run, for as long as its tasks have had. Then it is ended. */
  private async over(state: PlannerState): Promise<void> {
    const begun = Date.now();
    for (;;) {
      const { running } = sweepsOf(state);
      if (running === undefined) return;
      const { closing } = state;
      const endsAt = closing?.by === 'cancel' ? (closing.until ?? begun) : begun + SWEEP_MS;
      if (Date.now() >= endsAt) {
        await this.owner.end(running.child);
        this.wasLost(state, running.child, RUN_TEXT.sweepTooLong);
        return;
      }
      const waitMs = Math.min(STUCK_LOOK_MS, endsAt - Date.now());
      await condition(() => sweepsOf(state).running === undefined || state.closing !== closing, waitMs);
      this.owner.tendStuck();
      if (sweepsOf(state).running === running && Date.now() - running.askedAt >= ASK_MS)
        await this.askAfter(state, running);
    }
  }

  /** For the report: the newest verdict, and why it is not as it should be. */
  seen(state: PlannerState, { target }: RunContext): { green?: Green; notGreen?: string } {
    const { last } = sweepsOf(state);
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
    const { running } = sweepsOf(state);
    return running === undefined ? [] : [running.child];
  }

  /** A branch is not left frozen by a run that has ended. */
  async leave(state: PlannerState, { repo, target }: RunContext): Promise<void> {
    if (sweepsOf(state).memory.frozen !== true) return;
    try {
      await enqueueActivities.tellHealth({ repo, target, health: { kind: 'unknown', by: this.owner.chain } });
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the merge queue could not be told that nothing is mended any more', { reason: rootMessage(error) });
    }
  }

  private viewOf(state: PlannerState, { settings }: RunContext): SweepView {
    const { last, memory } = sweepsOf(state);
    return {
      mode: this.mode,
      sweeps: settings.sweeps,
      isOver: state.refused !== undefined || state.closing?.by === 'cancel',
      isFrozen: memory.frozen === true,
      isMending: triedFixes(state.tasks).some(({ open }) => open),
      work: landedWork(state.tasks),
      last,
    };
  }

  private async start(state: PlannerState, context: RunContext): Promise<void> {
    const { chain } = this.owner;
    const sweeps = sweepsOf(state);
    const fixes = state.closing === undefined && mayFix(this.mode, sweeps.rounds);
    const share = fixes ? state.beginSweep() : null;
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
            memory: sweeps.memory,
            tried: triedFixes(state.tasks),
            taken: state.tasks.map(({ spec }) => spec.id),
            fix: share !== null,
            ...(share == null ? {} : { budget: share }),
            all: this.mode === 'reconcile' || context.settings.checks.length > 0,
          },
        ],
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: `sweep ${sweeps.memory.number + 1} of ${context.target}`,
      });
      const begun = { workflowId: child.workflowId, firstRunId: child.firstExecutionRunId };
      sweeps.running = { child: begun, work, askedAt: Date.now() };
      if (this.early !== undefined) this.swept(state, this.early);
      void child.result().then(
        () => undefined,
        (error: unknown) => this.owner.hear((now) => this.wasLost(now, begun, rootMessage(error))),
      );
    } catch (error) {
      if (isCancellation(error)) throw error;
      // An orphan of an earlier run of this id may hold the name.
      this.saidNothing(state, work, rootMessage(error));
    } finally {
      this.starting = false;
      this.early = undefined;
    }
  }

  private swept(state: PlannerState, { id, sender, result }: SweptMessage): void {
    const sweeps = sweepsOf(state);
    const { running } = sweeps;
    if (running === undefined && this.starting) this.early = { id, sender, result };
    if (running === undefined || !sameChain(running.child, sender)) return;
    delete sweeps.running;
    sweeps.lost = 0;
    sweeps.memory = result.memory;
    sweeps.dueAt = Date.now() + result.memory.intervalMs;
    state.sweepEnded(result.metrics);
    this.remember(sweeps, result, running.work);
    for (const warning of result.warnings) state.sweepSaid(SWEEP_TEXT.noted(warning));
    if (state.closing !== undefined) return;
    for (const { error, tried } of result.escalated) state.sweepSaid(SWEEP_TEXT.escalated(error, tried));
    if (result.fixes.length > 0) sweeps.rounds += 1;
    state.addFixes(result.fixes, Date.now());
  }

  /** One that the branch overtook each time says nothing; the one before it still does. */
  private remember(sweeps: CarriedSweeps, result: SweepResult, work: number): void {
    const { verdict, commit, reason, inherited } = result;
    sweeps.last = {
      verdict: verdict === 'stale' ? 'unknown' : verdict,
      ...(commit === undefined ? {} : { commit }),
      ...(reason === undefined ? {} : { reason }),
      ...(inherited === undefined ? {} : { inherited }),
      at: Date.now(),
      work,
    };
  }

  private async askAfter(state: PlannerState, running: NonNullable<CarriedSweeps['running']>): Promise<void> {
    running.askedAt = Date.now();
    try {
      const [standing] = await runActivities.describeChains({ chains: [running.child] });
      if (standing === undefined || standing.kind === 'running') return;
      // Its word may have come while the server was asked.
      this.wasLost(state, running.child, standing.kind === 'failed' ? standing.reason : standing.kind);
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('a sweep could not be asked after', { reason: rootMessage(error) });
    }
  }

  private wasLost(state: PlannerState, child: Chain, reason: string): void {
    const sweeps = sweepsOf(state);
    const { running } = sweeps;
    if (running === undefined || !sameChain(running.child, child)) return;
    delete sweeps.running;
    this.saidNothing(state, running.work, reason);
  }

  private saidNothing(state: PlannerState, work: number, reason: string): void {
    const sweeps = sweepsOf(state);
    log.warn('a sweep ended without a verdict', { reason });
    state.sweepEnded('unknown');
    sweeps.lost += 1;
    sweeps.dueAt = Date.now() + afterLostMs(sweeps.lost, sweeps.memory.intervalMs);
    // Not about this work: another one may still say it.
    sweeps.last = { verdict: 'unknown', reason: reason.slice(0, 1_000), at: Date.now(), work: work - 1 };
  }
}

function sweepsOf(state: PlannerState): CarriedSweeps {
  return state.sweeps({ memory: newMemory(), dueAt: 0, rounds: 0, lost: 0 });
}

function triedFixes(tasks: readonly TaskRecord[]): TriedFix[] {
  return tasks
    .filter(({ fix }) => fix === true)
    .map((task) => ({
      id: task.spec.id,
      open: !isSettled(task),
      outcome: [task.status, task.branch === 'none' ? '' : task.branch, task.reason ?? task.spec.description]
        .filter((part) => part !== '')
        .join(', ')
        .slice(0, OUTCOME_CHARS),
    }));
}
