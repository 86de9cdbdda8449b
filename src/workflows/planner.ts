/**
 * The root of a run: plans, starts a task for each piece, hears what becomes of it, plans again, and reports.
 * Wiring only; PlannerState decides what is started and when it is planned. Children are abandoned on purpose
 * (a close policy would fire on continue-as-new too) and are cancelled one by one when the run is.
 */
import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  makeContinueAsNewFunc,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  sleep,
  startChild,
  TemporalFailure,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import { z } from 'zod';
import type { ChainStatus } from '../shared/contracts/activities.ts';
import { PlannerInput, PreparedRun, type RunReport } from '../shared/contracts/run.ts';
import type { Phase, RunSnapshot } from '../shared/contracts/snapshot.ts';
import { isFinished, shouldPlan } from '../shared/decisions/dispatch.ts';
import { HandoffMessage, OutcomeMessage } from '../shared/contracts/task.ts';
import { FailureType, failureTypeOf, rootMessage, terminal } from '../shared/failures.ts';
import { type Chain, taskWorkflowId } from '../shared/ids.ts';
import {
  handoffSignal,
  PAUSED_MEMO,
  pauseUpdate,
  resumeUpdate,
  snapshotQuery,
  steerUpdate,
  taskOutcomeSignal,
  transcriptQuery,
} from '../shared/messages.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../shared/run-text.ts';
import { prepareActivities, runActivities } from './activities.ts';
import { ownChain } from './agent-loop.ts';
import { parseInput, parseSignal } from './input.ts';
import { PlannerState } from './planner-state.ts';
import { type CarriedPlanning, Planning } from './planning.ts';
import { reportOf, snapshotOf } from './report.ts';
import type { task } from './task.ts';
import { keptRefs, openChildren, silentTasks, type TaskRecord } from './task-records.ts';

/** What continue-as-new hands on; a person's input has none of it. */
const Carried = z.object({
  prepared: PreparedRun,
  state: z.unknown(),
  planning: z.unknown(),
  startedAt: z.number(),
});
type Carried = z.infer<typeof Carried>;
const Input = PlannerInput.extend({ carried: Carried.optional() });
type Input = z.infer<typeof Input>;

/** 10,000 signals end a workflow, and the server's suggestion does not count them. */
const MAX_SIGNALS = 4_500;
const MAX_CARRIED_CHARS = 512_000;
/** Its children's ids, refs and queue names are made from it, and Temporal's ids end at 1,000. */
const MAX_RUN_ID_CHARS = 200;
const MAX_SAID_CHARS = 8_000;
/** Ended children may answer with a handoff each: few enough for one activity's result. */
const ASKED_AT_ONCE = 20;

export async function planner(raw: Input): Promise<RunReport> {
  return await new Planner(parseInput(Input, raw, 'planner')).run();
}

class Planner {
  private readonly input: Input;
  private readonly chain: Chain = ownChain();
  private readonly startedAt: number;
  private prepared: PreparedRun | undefined;
  private state: PlannerState | undefined;
  private planning: Planning | undefined;
  private round: Promise<void> | undefined;
  private roundScope: CancellationScope | undefined;
  private phase: Phase = 'preparing';
  private signals = 0;
  private askedAt = Date.now();
  /** Something happened that the main loop has not looked at. */
  private stirred = false;
  /** Said before the run was prepared; the state takes it over. */
  private early: ((state: PlannerState) => void)[] = [];

  constructor(input: Input) {
    this.input = input;
    this.startedAt = input.carried?.startedAt ?? Date.now();
    // Before anything is heard: an update may come with the first task of a continued run, and is judged by its state.
    if (input.carried !== undefined) this.begin(input.carried.prepared);
    this.listen();
  }

  async run(): Promise<RunReport> {
    const { length } = this.chain.workflowId;
    if (length > MAX_RUN_ID_CHARS) {
      const limit = `A run's id has at most ${MAX_RUN_ID_CHARS} characters; this one has ${length}.`;
      throw terminal(FailureType.BadInput, limit, 'Start it again with a shorter workflow id.');
    }
    if (this.prepared === undefined) this.begin(await this.prepare());
    const prepared = defined(this.prepared);
    const state = defined(this.state);
    try {
      await this.loop(state, prepared);
    } catch (error) {
      // Anything else is continue-as-new, or a bug: that fails the workflow task, and a corrected worker goes on.
      if (!(error instanceof TemporalFailure)) throw error;
      const reason = isCancellation(error) ? RUN_TEXT.cancelledByPerson : rootMessage(error);
      await CancellationScope.nonCancellable(() => this.giveUp(reason));
      throw error;
    }
    return await this.finish(state, prepared);
  }

  private begin(prepared: PreparedRun): void {
    const { context } = prepared;
    const { carried, spec } = this.input;
    this.prepared = prepared;
    this.state = new PlannerState({ runId: context.root.workflowId, ...context.settings }, carried?.state);
    this.planning = new Planning(context, spec, carried?.planning as CarriedPlanning | undefined);
    for (const said of this.early.splice(0)) said(this.state);
    this.phase = 'running';
  }

  private async prepare(): Promise<PreparedRun> {
    const { carried: _, ...input } = this.input;
    return await prepareActivities.prepareRun({ input, root: this.chain });
  }

  private async loop(state: PlannerState, { context }: PreparedRun): Promise<void> {
    const silenceMs = context.settings.childSilenceSeconds * 1_000;
    for (;;) {
      this.stirred = false;
      await this.dispatch(state);
      // One round after the other must not put a continue-as-new off for ever: it goes first.
      const due = this.mustContinueAsNew(context.settings.historyEvents);
      if (!due && this.mayPlan(state) && shouldPlan(state.planningInput())) this.plan(state);
      this.describe(state);
      if (this.round === undefined && this.ended(state)) return;
      if (due && this.round === undefined && !this.stirred) await this.continueAsNew(state);
      const lookMs = Math.min(silenceMs, 60_000);
      await condition(() => this.stirred, openChildren(state.tasks).length > 0 ? lookMs : 3_600_000);
      // Also in a run where something happens all the time.
      if (Date.now() - this.askedAt >= lookMs) await this.askAfterSilent(state, silenceMs);
    }
  }

  private ended(state: PlannerState): boolean {
    if (state.paused !== undefined) return false;
    const { active, queued } = state.planningInput();
    if (state.refused !== undefined) return active + queued === 0;
    return isFinished(state.planningInput());
  }

  private mayPlan(state: PlannerState): boolean {
    return this.round === undefined && state.paused === undefined && state.refused === undefined;
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
      reason = end.reason;
    } catch (error) {
      if (isCancellation(error)) return;
      reason = rootMessage(error);
      if (failureTypeOf(error) === FailureType.ModelUnusable) {
        this.pause(RUN_TEXT.modelUnusable(reason));
        return;
      }
    }
    const times = state.planningFailed();
    log.warn('planning failed', { times, reason });
    const { planningFailures } = defined(this.prepared).context.settings;
    if (times >= planningFailures) this.pause(RUN_TEXT.planningKeepsFailing(times, reason));
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
    const { context } = defined(this.prepared);
    try {
      const child = await startChild<typeof task>('task', {
        workflowId: taskWorkflowId(this.chain.workflowId, spec.id, attempt),
        args: [
          {
            run: context,
            task: spec,
            attempt,
            parent: this.chain,
            ancestors: [this.chain],
            guidance: [...state.guidance],
            ...(previous === undefined ? {} : { previous }),
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
    if (silent.length > 0) this.stirred = true;
  }

  private mustContinueAsNew(historyEvents: number): boolean {
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    return continueAsNewSuggested || historyLength >= historyEvents || this.signals >= MAX_SIGNALS;
  }

  private async continueAsNew(state: PlannerState): Promise<void> {
    await condition(allHandlersFinished);
    if (this.stirred) return;
    const { carried: _, ...input } = this.input;
    const rest = { prepared: defined(this.prepared), state: state.toJSON(), startedAt: this.startedAt };
    const chars = JSON.stringify(rest).length;
    const carried: Carried = { ...rest, planning: defined(this.planning).toJSON(MAX_CARRIED_CHARS - 1_000 - chars) };
    if (chars > MAX_CARRIED_CHARS) {
      throw terminal(
        FailureType.Invariant,
        `The run's state has ${chars} characters; at most ${MAX_CARRIED_CHARS} are carried on.`,
      );
    }
    const { [PAUSED_MEMO]: _paused, ...others } = workflowInfo().memo ?? {};
    const memo = state.paused === undefined ? others : { ...others, [PAUSED_MEMO]: state.paused };
    await makeContinueAsNewFunc<typeof planner>({ memo })({ ...input, carried });
  }

  private async finish(state: PlannerState, prepared: PreparedRun): Promise<RunReport> {
    this.phase = 'finalizing';
    const tip = await this.leave(state, prepared);
    this.phase = 'done';
    const report = reportOf({ state, prepared, startedAt: this.startedAt, endedAt: Date.now(), tip });
    setCurrentDetails(PLANNER_TEXT.details(this.snapshot()));
    return report;
  }

  /** The end of a run on its remote. What is done is reported also when the remote cannot be reached any more. */
  private async leave(state: PlannerState, { context, notes }: PreparedRun): Promise<string | null> {
    try {
      return (await runActivities.finishRun({ run: context, keep: keptRefs(state.tasks) })).tip;
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.error('the run could not be finished on the remote', { reason: rootMessage(error) });
      notes.push(RUN_TEXT.notFinished(rootMessage(error)));
      return null;
    }
  }

  /** Ends all that this run started and waits for it. Throws nothing but cancellations, so that the reason stays. */
  private async giveUp(reason: string): Promise<void> {
    this.phase = 'finalizing';
    const { state, prepared } = this;
    if (state === undefined || prepared === undefined) return;
    this.roundScope?.cancel();
    let open = openChildren(state.tasks);
    for (let looks = 0; open.length > 0 && looks < 60; looks++) {
      if (looks % 10 === 0) await Promise.all(open.map((child) => this.cancelChild(child)));
      await sleep(2_000);
      open = await this.stillRunning(open);
    }
    if (open.length > 0) log.warn('tasks did not end in time', { tasks: open.map(({ workflowId }) => workflowId) });
    await this.round?.catch(() => undefined);
    state.cancelOpen(reason);
    await this.leave(state, prepared);
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

  private pause(reason: string): void {
    const state = defined(this.state);
    state.pause(Date.now(), reason);
    upsertMemo({ [PAUSED_MEMO]: { since: Date.now(), reason } });
    log.warn('the run is paused', { reason });
    this.stirred = true;
  }

  private listen(): void {
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
    setHandler(
      steerUpdate,
      ({ text }) => {
        this.hear((state) => state.steer(text));
        return PLANNER_TEXT.steered;
      },
      {
        validator: (said: { text: string } | undefined) => {
          refuseUnless(typeof said?.text === 'string' && said.text.trim() !== '', PLANNER_TEXT.steerWhat);
          refuseUnless((said?.text.length ?? 0) <= MAX_SAID_CHARS, PLANNER_TEXT.tooLong(MAX_SAID_CHARS));
          refuseUnless(!this.isEnding, PLANNER_TEXT.ending);
        },
      },
    );
    setHandler(
      pauseUpdate,
      (said: { reason?: string } | undefined) => {
        this.pause(said?.reason ?? PLANNER_TEXT.pausedByPerson);
        return PLANNER_TEXT.paused;
      },
      {
        validator: (said: { reason?: string } | undefined) => {
          const { reason } = said ?? {};
          refuseUnless(reason === undefined || typeof reason === 'string', PLANNER_TEXT.pauseWhat);
          refuseUnless((reason?.length ?? 0) <= MAX_SAID_CHARS, PLANNER_TEXT.tooLong(MAX_SAID_CHARS));
          refuseUnless(this.state !== undefined && this.state.paused === undefined, PLANNER_TEXT.cannotPause);
          refuseUnless(!this.isEnding, PLANNER_TEXT.ending);
        },
      },
    );
    setHandler(
      resumeUpdate,
      () => {
        this.hear((state) => state.resume());
        upsertMemo({ [PAUSED_MEMO]: null });
        return PLANNER_TEXT.resumed;
      },
      { validator: () => refuseUnless(this.state?.paused !== undefined, PLANNER_TEXT.notPaused) },
    );
  }

  private get isEnding(): boolean {
    return this.phase === 'finalizing' || this.phase === 'done';
  }

  private hear(change: (state: PlannerState) => void): void {
    this.signals += 1;
    if (this.state === undefined) this.early.push(change);
    else change(this.state);
    this.stirred = true;
  }

  private describe(state: PlannerState): void {
    this.phase = this.round !== undefined && state.planningInput().active === 0 ? 'planning' : 'running';
    setCurrentDetails(PLANNER_TEXT.details(this.snapshot()));
  }

  private snapshot(): RunSnapshot {
    return snapshotOf({
      run: this.chain.workflowId,
      phase: this.phase,
      planning: this.round !== undefined,
      repo: this.input.repo,
      prepared: this.prepared,
      state: this.state,
      startedAt: this.startedAt,
    });
  }
}

function refuseUnless(holds: boolean, reason: string): void {
  if (!holds) throw ApplicationFailure.nonRetryable(reason, 'Refused');
}

function defined<T>(value: T | undefined): T {
  if (value === undefined) throw terminal(FailureType.Invariant, 'the run is not prepared yet');
  return value;
}
