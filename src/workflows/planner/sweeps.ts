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

/** How often fixes of a final sweep may be followed by another one. */
const MAX_ROUNDS = { run: 3, reconcile: 10 };
/** A sweep that says nothing for so long is asked after. */
const ASK_MS = 60_000;
/** So often a sweep that was lost is made again, so much later. */
const MAX_LOST = 2;
const AGAIN_MS = 3_000;
const OUTCOME_CHARS = 300;

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
};

export class Sweeps {
  private readonly owner: Owner;
  /** `reconcile`: the run is there for nothing else, and mends all that fails. */
  private readonly mode: 'run' | 'reconcile';
  private starting = false;
  /** A word that came together with the news that its sweep has begun: signals are heard first. */
  private early: SweptMessage | undefined;

  constructor(owner: Owner, mode: 'run' | 'reconcile') {
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
    if (sweeps.dueAt === 0 && this.wanted(state, context)) sweeps.dueAt = Date.now() + sweeps.memory.intervalMs;
    if (sweeps.running === undefined && Date.now() >= this.nextAt(state, context)) await this.start(state, context);
  }

  /** When `tend` has something to do, in ms since the epoch. */
  nextAt(state: PlannerState, context: RunContext): number {
    const { running, last, dueAt } = sweepsOf(state);
    if (running !== undefined) return running.askedAt + ASK_MS;
    const never = dueAt === 0 || last?.verdict === 'none' || this.mode === 'reconcile';
    if (never || !this.wanted(state, context)) return Number.POSITIVE_INFINITY;
    // Whether the fixes have helped is looked at as soon as all have ended.
    return last?.verdict === 'red' && !this.isMending(state) ? 0 : dueAt;
  }

  /** At the end of a run: sweeps until the verdict is about all that landed. Returns whether there is more to do. */
  async finalize(state: PlannerState, context: RunContext): Promise<boolean> {
    for (;;) {
      while (sweepsOf(state).running !== undefined) {
        await condition(() => sweepsOf(state).running === undefined, ASK_MS);
        const { running } = sweepsOf(state);
        if (running !== undefined) await this.askAfter(state, running);
      }
      // Nothing more can land, so nothing more is begun: whatever is open stays so.
      if (state.refused !== undefined) return false;
      const { pending, newTroubles } = state.planningInput();
      if (pending > 0 || (newTroubles > 0 && state.closing === undefined)) return true;
      if (!this.wanted(state, context) || sweepsOf(state).lost > MAX_LOST) return false;
      if (sweepsOf(state).lost > 0) await sleep(AGAIN_MS);
      await this.start(state, context);
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

  /** Whether something landed of which no sweep has said anything. */
  private wanted(state: PlannerState, { settings }: RunContext): boolean {
    if (state.refused !== undefined || state.closing?.by === 'cancel') return false;
    const { last, memory } = sweepsOf(state);
    if (this.mode === 'reconcile' && last === undefined) return true;
    // Whoever waits to land must not wait for fixes that have failed.
    if (memory.frozen === true && !this.isMending(state)) return true;
    const work = landedWork(state.tasks);
    return settings.sweeps === 'auto' && work > 0 && work !== last?.work;
  }

  private isMending(state: PlannerState): boolean {
    return triedFixes(state.tasks).some(({ open }) => open);
  }

  private async start(state: PlannerState, context: RunContext): Promise<void> {
    const { chain } = this.owner;
    const sweeps = sweepsOf(state);
    const share = this.mayFix(state) ? state.beginSweep() : null;
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

  private mayFix(state: PlannerState): boolean {
    const { rounds } = sweepsOf(state);
    return state.closing === undefined && rounds < MAX_ROUNDS[this.mode];
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
    sweeps.dueAt = Date.now() + (sweeps.lost > MAX_LOST ? sweeps.memory.intervalMs : AGAIN_MS);
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
