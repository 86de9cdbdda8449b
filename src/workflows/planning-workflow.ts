/**
 * What planners of all levels do: plan, start a workflow for each task, hear what becomes of it, plan again. Wiring
 * only; PlannerState decides what is started and when it is planned. Children are abandoned on purpose (a close
 * policy would fire on continue-as-new too) and are cancelled one by one when their planner is.
 */
import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  sleep,
  startChild,
  TemporalFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { ChainStatus } from '../shared/contracts/activities.ts';
import type { Budget } from '../shared/contracts/budget.ts';
import type { RunContext, SpecSource } from '../shared/contracts/run.ts';
import type { Phase, RunSnapshot } from '../shared/contracts/snapshot.ts';
import { isDivided } from '../shared/decisions/division.ts';
import { isFinished, shouldPlan } from '../shared/decisions/dispatch.ts';
import { AgentMessage } from '../shared/contracts/agent-run.ts';
import { HandoffMessage, OutcomeMessage } from '../shared/contracts/task.ts';
import { FailureType, failureTypeOf, rootMessage, terminal } from '../shared/failures.ts';
import { type Chain, taskWorkflowId } from '../shared/ids.ts';
import {
  cancelTaskUpdate,
  finishUpdate,
  handoffSignal,
  messageSignal,
  snapshotQuery,
  steerUpdate,
  taskOutcomeSignal,
  transcriptQuery,
  WORKFLOW,
} from '../shared/messages.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../shared/run-text.ts';
import { runActivities } from './activities.ts';
import type { TaskStatus } from '../shared/task-machine.ts';
import { ownChain } from './agent-loop.ts';
import { parseSignal } from './input.ts';
import { PlannerState } from './planner-state.ts';
import { type CarriedPlanning, type Division, Planning } from './planning.ts';
import { snapshotOf } from './report.ts';
import type { task } from './task.ts';
import { openChildren, silentTasks, type TaskRecord } from './task-records.ts';

/** 10,000 signals end a workflow, and the server's suggestion does not count them. */
const MAX_SIGNALS = 4_500;
const MAX_CARRIED_CHARS = 512_000;
export const MAX_SAID_CHARS = 8_000;
/** Ended children may answer with a handoff each: few enough for one activity's result. */
const ASKED_AT_ONCE = 20;

/** What a planner carries through continue-as-new beside its input. */
export type CarriedState = { state: unknown; planning: unknown; startedAt: number };

/** Where in its run's tree a planner stands. */
export type Place = {
  context: RunContext;
  spec: SpecSource;
  /** From the root planner down to this one's parent. */
  above: Chain[];
  /** What it may spend, with all below it. */
  budget: Budget;
  /** What a subplanner divides. */
  division?: Division;
};

export abstract class PlanningWorkflow {
  protected readonly chain: Chain = ownChain();
  protected readonly startedAt: number;
  protected place: Place | undefined;
  protected state: PlannerState | undefined;
  private planning: Planning | undefined;
  private round: Promise<void> | undefined;
  private roundScope: CancellationScope | undefined;
  protected phase: Phase = 'preparing';
  private signals = 0;
  private askedAt = Date.now();
  /** Something happened that the main loop has not looked at. */
  protected stirred = false;
  private messages = 0;
  /** Said before the run was prepared; the state takes it over. */
  /** A round found too little money while others held some: it is tried again when one of them has ended. */
  private unfunded = false;
  private early: ((state: PlannerState) => void)[] = [];

  constructor(carried: CarriedState | undefined) {
    this.startedAt = carried?.startedAt ?? Date.now();
  }

  /** What it does when its model gives no plan, time and again, or none can be used. */
  protected abstract cannotPlan(reason: string): void;
  /** Starts this workflow anew with its state. */
  protected abstract startAnew(carried: CarriedState): Promise<never>;
  /** The repository as a person named it, until it is known. */
  protected abstract get repo(): string;
  /** Looked at now and then: throws when nobody wants this work any more. */
  protected async look(): Promise<void> {}
  protected get notes(): { notes: string[]; unsafe: boolean } {
    return { notes: [], unsafe: false };
  }

  protected begin(place: Place, carried: CarriedState | undefined): void {
    const { context, spec, above, budget, division } = place;
    this.place = place;
    const limits = { ...context.settings, runId: context.root.workflowId, id: this.chain.workflowId, budget };
    this.state = new PlannerState(limits, carried?.state);
    const planning = carried?.planning as CarriedPlanning | undefined;
    this.planning = new Planning(
      { run: context, spec, above, ...(division === undefined ? {} : { division }) },
      planning,
    );
    for (const said of this.early.splice(0)) said(this.state);
    this.phase = 'running';
  }

  /** Plans and dispatches until nothing is left to do. A failure that is no bug ends what is under way first. */
  protected async drive(): Promise<void> {
    try {
      await this.loop(defined(this.state), defined(this.place).context);
    } catch (error) {
      // Anything else is continue-as-new, or a bug: that fails the workflow task, and a corrected worker goes on.
      if (!(error instanceof TemporalFailure)) throw error;
      const reason = isCancellation(error) ? RUN_TEXT.cancelledByPerson : rootMessage(error);
      await CancellationScope.nonCancellable(() => this.giveUp(reason));
      throw error;
    }
  }

  private async loop(state: PlannerState, context: RunContext): Promise<void> {
    const silenceMs = context.settings.childSilenceSeconds * 1_000;
    for (;;) {
      this.stirred = false;
      await this.dispatch(state);
      if (this.round === undefined) state.closeWhenSpent();
      // One round after the other must not put a continue-as-new off for ever: it goes first.
      const due = this.mustContinueAsNew(context.settings.historyEvents);
      if (!due && this.mayPlan(state) && shouldPlan(state.planningInput())) this.plan(state);
      this.describe(state);
      if (this.round === undefined && this.ended(state)) return;
      if (due && this.round === undefined && !this.stirred) await this.continueAsNew(state);
      const lookMs = Math.min(silenceMs, 60_000);
      const waits = openChildren(state.tasks).length + state.winding.length > 0 || this.isBelow;
      await condition(() => this.stirred, waits ? lookMs : 3_600_000);
      // Also in a run where something happens all the time.
      if (Date.now() - this.askedAt >= lookMs) {
        await this.askAfterSilent(state, silenceMs);
        await this.look();
      }
    }
  }

  /** Whether it works for another planner. */
  private get isBelow(): boolean {
    return defined(this.place).above.length > 0;
  }

  private ended(state: PlannerState): boolean {
    if (state.winding.length > 0) return false;
    if (state.paused !== undefined && state.closing?.by !== 'person') return false;
    const { active, queued } = state.planningInput();
    if (state.refused !== undefined || state.closing !== undefined) return active + queued === 0;
    return isFinished(state.planningInput());
  }

  private mayPlan(state: PlannerState): boolean {
    if (this.round !== undefined || this.unfunded || state.closing !== undefined) return false;
    return state.paused === undefined && state.refused === undefined;
  }

  /** Starts a round in the background: tasks are dispatched and heard while the model plans. */
  private plan(state: PlannerState): void {
    const scope = new CancellationScope();
    this.roundScope = scope;
    this.round = scope
      .run(() => this.planOnce(state))
      .finally(() => {
        this.round = undefined;
        this.stirred = true;
      });
    this.round.catch(() => undefined);
  }

  private async planOnce(state: PlannerState): Promise<void> {
    let reason: string;
    try {
      const end = await defined(this.planning).round(state);
      if (end.kind === 'planned') {
        state.applyPlan(end.plan, Date.now());
        log.info('planned', { tasks: end.plan.tasks.map(({ id }) => id), done: end.plan.done });
        return;
      }
      if (end.kind === 'spent') {
        // What others hold may come back: until then nothing is planned.
        if (state.planningInput().active + state.planningInput().queued === 0) state.closeForBudget();
        else this.unfunded = true;
        return;
      }
      reason = end.reason;
    } catch (error) {
      if (isCancellation(error)) return;
      reason = rootMessage(error);
      if (failureTypeOf(error) === FailureType.ModelUnusable) {
        this.cannotPlan(RUN_TEXT.modelUnusable(reason));
        return;
      }
    }
    const times = state.planningFailed();
    log.warn('planning failed', { times, reason });
    const { planningFailures } = defined(this.place).context.settings;
    if (times >= planningFailures) this.cannotPlan(RUN_TEXT.planningKeepsFailing(times, reason));
    else await sleep(Math.min(60_000, 1_000 * 2 ** times));
  }

  private async dispatch(state: PlannerState): Promise<void> {
    const ready = state.ready();
    for (const { spec } of ready) state.assigned(spec.id, Date.now());
    const starts = await Promise.allSettled(ready.map((record) => this.start(state, record)));
    const failed = starts.find((start) => start.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  private async start(state: PlannerState, record: TaskRecord): Promise<void> {
    const { spec, attempt, previous } = record;
    const budget = state.shareOf(record);
    const { context, above, spec: source } = defined(this.place);
    const divided = record.direct !== true && isDivided(spec, above.length, context.settings.division);
    try {
      const child = await startChild<typeof task>(divided ? WORKFLOW.subplanner : WORKFLOW.task, {
        workflowId: taskWorkflowId(this.chain.workflowId, spec.id, attempt),
        args: [
          {
            run: context,
            task: spec,
            attempt,
            parent: this.chain,
            ancestors: [...above, this.chain],
            guidance: [...state.guidance],
            ...(previous === undefined ? {} : { previous }),
            ...(budget === undefined ? {} : { budget }),
            ...(divided ? { spec: source } : {}),
          },
        ],
        parentClosePolicy: ParentClosePolicy.ABANDON,
        priority: { priorityKey: Math.ceil(spec.priority / 2) },
        staticSummary: `${spec.id} (attempt ${attempt})`,
      });
      const chain = { workflowId: child.workflowId, firstRunId: child.firstExecutionRunId };
      state.started(spec.id, chain);
      // What fails without a word is known at once while this run lasts; after a continue-as-new it is asked after.
      void child.result().then(
        () => undefined,
        (error: unknown) => {
          const reason = rootMessage(error);
          state.wound(chain);
          if (!this.isEnding) this.hear((now) => now.found(spec.id, chain, { kind: 'failed', reason }, Date.now()));
        },
      );
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('a task could not be started', { task: spec.id, attempt, reason: rootMessage(error) });
      state.notStarted(spec.id, rootMessage(error));
      this.stirred = true;
    }
  }

  private async askAfterSilent(state: PlannerState, silenceMs: number): Promise<void> {
    this.askedAt = Date.now();
    const silent = silentTasks(state.tasks, Date.now() - silenceMs);
    for (let from = 0; from < silent.length; from += ASKED_AT_ONCE) {
      const asked = silent.slice(from, from + ASKED_AT_ONCE);
      try {
        const standings = await runActivities.describeChains({ chains: asked.map(({ child }) => child) });
        for (const [i, { id, child }] of asked.entries()) {
          const standing = standings[i];
          if (standing !== undefined) state.found(id, child, standing, Date.now());
        }
      } catch (error) {
        if (isCancellation(error)) throw error;
        log.warn('tasks that are silent could not be asked after', { reason: rootMessage(error) });
      }
    }
    if (state.winding.length > 0) {
      const still = await this.stillRunning([...state.winding]);
      for (const chain of [...state.winding]) if (!still.includes(chain)) state.wound(chain);
      this.stirred = true;
    }
    if (silent.length > 0) this.stirred = true;
  }

  private mustContinueAsNew(historyEvents: number): boolean {
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    return continueAsNewSuggested || historyLength >= historyEvents || this.signals >= MAX_SIGNALS;
  }

  private async continueAsNew(state: PlannerState): Promise<void> {
    await condition(allHandlersFinished);
    if (this.stirred) return;
    const rest = { state: state.toJSON(), startedAt: this.startedAt };
    const chars = JSON.stringify({ ...rest, place: this.place }).length;
    if (chars > MAX_CARRIED_CHARS) {
      throw terminal(
        FailureType.Invariant,
        `The run's state has ${chars} characters; at most ${MAX_CARRIED_CHARS} are carried on.`,
      );
    }
    const planning = defined(this.planning).toJSON(MAX_CARRIED_CHARS - 1_000 - chars);
    await this.startAnew({ ...rest, planning });
  }

  /** What is done at the end, however it comes. */
  protected async leave(): Promise<unknown> {
    return undefined;
  }

  /** Ends all that this run started and waits for it. Throws nothing but cancellations, so that the reason stays. */
  private async giveUp(reason: string): Promise<void> {
    this.phase = 'finalizing';
    const { state } = this;
    if (state === undefined) return;
    this.roundScope?.cancel();
    let open = [...openChildren(state.tasks), ...state.winding];
    for (let looks = 0; open.length > 0 && looks < 60; looks++) {
      if (looks % 10 === 0) await Promise.all(open.map((child) => this.cancelChild(child)));
      await sleep(2_000);
      open = await this.stillRunning(open);
    }
    if (open.length > 0) log.warn('tasks did not end in time', { tasks: open.map(({ workflowId }) => workflowId) });
    await this.round?.catch(() => undefined);
    state.cancelOpen(reason);
    await this.leave();
    this.phase = 'done';
  }

  private async stillRunning(chains: Chain[]): Promise<Chain[]> {
    try {
      const standings: ChainStatus[] = [];
      for (let from = 0; from < chains.length; from += ASKED_AT_ONCE) {
        const asked = chains.slice(from, from + ASKED_AT_ONCE);
        standings.push(...(await runActivities.describeChains({ chains: asked })));
      }
      return chains.filter((_, i) => standings[i]?.kind === 'running');
    } catch (error) {
      log.warn('tasks that are to end could not be asked after', { reason: rootMessage(error) });
      return chains;
    }
  }

  private async cancelChild(child: Chain): Promise<void> {
    try {
      await getExternalWorkflowHandle(child.workflowId).cancel();
    } catch (error) {
      log.info('a task had ended before it was cancelled', { task: child.workflowId, reason: rootMessage(error) });
    }
  }

  protected listen(): void {
    setHandler(handoffSignal, (raw) => {
      const message = parseSignal(HandoffMessage, raw, 'handoff');
      if (message !== undefined) this.hear((state) => state.handoff(message, Date.now()));
    });
    setHandler(taskOutcomeSignal, (raw) => {
      const message = parseSignal(OutcomeMessage, raw, 'outcome');
      if (message !== undefined) this.hear((state) => state.outcome(message, Date.now()));
    });
    setHandler(snapshotQuery, () => this.snapshot());
    setHandler(transcriptQuery, (range) =>
      (this.planning?.current?.talk.messages ?? []).slice(range?.from ?? 0, range?.to),
    );
    setHandler(messageSignal, (raw) => {
      const message = parseSignal(AgentMessage, raw, 'message');
      if (message !== undefined) this.hear((state) => state.steer(message.text));
    });
    setHandler(steerUpdate, ({ text, task }) => this.steered(text, task), {
      validator: (said: { text: string; task?: string } | undefined) => {
        refuseUnless(typeof said?.text === 'string' && said.text.trim() !== '', PLANNER_TEXT.steerWhat);
        refuseUnless((said?.text.length ?? 0) <= MAX_SAID_CHARS, PLANNER_TEXT.tooLong(MAX_SAID_CHARS));
        refuseUnless(!this.isEnding, PLANNER_TEXT.ending);
        if (said?.task !== undefined) this.refuseUnlessOpen(said.task, ['running']);
      },
    });
    setHandler(cancelTaskUpdate, ({ task, reason }) => this.cancelTask(task, reason ?? PLANNER_TEXT.taskCancelled), {
      validator: (said: { task: string; reason?: string } | undefined) => {
        refuseUnless(typeof said?.task === 'string', PLANNER_TEXT.cancelWhat);
        refuseUnless(said?.reason === undefined || typeof said.reason === 'string', PLANNER_TEXT.cancelWhat);
        refuseUnless((said?.reason?.length ?? 0) <= MAX_SAID_CHARS, PLANNER_TEXT.tooLong(MAX_SAID_CHARS));
        refuseUnless(!this.isEnding, PLANNER_TEXT.ending);
        this.refuseUnlessOpen(said?.task ?? '', ['pending', 'running']);
      },
    });
    setHandler(
      finishUpdate,
      () => {
        this.hear((state) => state.closeFor('person', PLANNER_TEXT.finishedByPerson));
        return PLANNER_TEXT.finishing;
      },
      {
        validator: () => {
          refuseUnless(this.state !== undefined, PLANNER_TEXT.notPrepared);
          refuseUnless(!this.isEnding && this.state?.closing === undefined, PLANNER_TEXT.ending);
        },
      },
    );
  }

  private refuseUnlessOpen(id: string, statuses: readonly TaskStatus[]): void {
    const task = this.state?.tasks.find(({ spec }) => spec.id === id);
    const standing = task?.branch === 'queued' ? 'waiting to land' : task?.status;
    refuseUnless(task !== undefined, PLANNER_TEXT.noTask(id));
    refuseUnless(task !== undefined && statuses.includes(task.status), PLANNER_TEXT.taskIs(id, standing ?? ''));
  }

  private async steered(text: string, id: string | undefined): Promise<string> {
    if (id === undefined) {
      this.hear((state) => state.steer(text));
      return PLANNER_TEXT.steered;
    }
    const child = this.state?.tasks.find(({ spec }) => spec.id === id)?.child;
    this.messages += 1;
    const message = { id: `${workflowInfo().runId}/message-${this.messages}`, text };
    try {
      if (child === undefined) throw new ApplicationFailure('it has not started yet');
      await getExternalWorkflowHandle(child.workflowId).signal(messageSignal, message);
    } catch (error) {
      if (isCancellation(error)) throw error;
      throw ApplicationFailure.nonRetryable(PLANNER_TEXT.notTold(id, rootMessage(error)), 'Refused');
    }
    this.stirred = true;
    return PLANNER_TEXT.told(id);
  }

  private async cancelTask(id: string, reason: string): Promise<string> {
    const child = this.state?.cancelTask(id, reason);
    this.hear(() => undefined);
    if (child !== undefined) await this.cancelChild(child);
    return PLANNER_TEXT.cancellingTask(id);
  }

  protected get isEnding(): boolean {
    return this.phase === 'finalizing' || this.phase === 'done';
  }

  protected hear(change: (state: PlannerState) => void): void {
    this.signals += 1;
    this.unfunded = false;
    if (this.state === undefined) this.early.push(change);
    else change(this.state);
    this.stirred = true;
  }

  private describe(state: PlannerState): void {
    this.phase = this.round !== undefined && state.planningInput().active === 0 ? 'planning' : 'running';
    setCurrentDetails(PLANNER_TEXT.details(this.snapshot()));
  }

  protected snapshot(): RunSnapshot {
    return snapshotOf({
      run: this.chain.workflowId,
      phase: this.phase,
      planning: this.round !== undefined,
      repo: this.repo,
      context: this.place?.context,
      ...this.notes,
      state: this.state,
      startedAt: this.startedAt,
    });
  }
}

export function refuseUnless(holds: boolean, reason: string): void {
  if (!holds) throw ApplicationFailure.nonRetryable(reason, 'Refused');
}

export function defined<T>(value: T | undefined): T {
  if (value === undefined) throw terminal(FailureType.Invariant, 'the run is not prepared yet');
  return value;
}
