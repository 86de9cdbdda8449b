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
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import { z } from 'zod';
import { PlannerInput, PreparedRun, type RunReport } from '../shared/contracts/run.ts';
import type { Phase, RunSnapshot } from '../shared/contracts/snapshot.ts';
import { isFinished, shouldPlan } from '../shared/decisions/dispatch.ts';
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
import { runActivities } from './activities.ts';
import { ownChain } from './agent-loop.ts';
import { parseInput } from './input.ts';
import { PlannerState, type TaskRecord } from './planner-state.ts';
import { Planning } from './planning.ts';
import { reportOf, snapshotOf } from './report.ts';
import type { task } from './task.ts';

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
  private phase: Phase = 'preparing';
  private signals = 0;
  /** Something happened that the main loop has not looked at. */
  private stirred = false;
  /** Said before the run was prepared; the state takes it over. */
  private early: ((state: PlannerState) => void)[] = [];

  constructor(input: Input) {
    this.input = input;
    this.startedAt = input.carried?.startedAt ?? Date.now();
    this.listen();
  }

  async run(): Promise<RunReport> {
    this.prepared = this.input.carried?.prepared ?? (await this.prepare());
    const { context } = this.prepared;
    const { settings, root } = context;
    this.state = new PlannerState({ runId: root.workflowId, ...settings }, this.input.carried?.state);
    this.planning = new Planning(context, this.input.spec, this.input.carried?.planning as never);
    for (const said of this.early.splice(0)) said(this.state);
    this.phase = 'running';
    try {
      await this.loop(this.state, this.prepared);
    } catch (error) {
      if (!isCancellation(error)) throw error;
      await CancellationScope.nonCancellable(() => this.cancelled());
      throw error;
    }
    return await this.finish(this.state, this.prepared);
  }

  private async prepare(): Promise<PreparedRun> {
    const { carried: _, ...input } = this.input;
    return await runActivities.prepareRun({ input, root: this.chain });
  }

  private async loop(state: PlannerState, { context }: PreparedRun): Promise<void> {
    const silenceMs = context.settings.childSilenceSeconds * 1_000;
    for (;;) {
      this.stirred = false;
      await this.dispatch(state);
      const planning = state.planningInput();
      if (this.mayPlan(state) && shouldPlan(planning)) this.plan(state);
      this.describe(state);
      if (this.round === undefined && this.ended(state)) return;
      if (this.mustContinueAsNew(context.settings.historyEvents)) await this.continueAsNew(state);
      const wait = state.openChildren().length > 0 ? Math.min(silenceMs, 60_000) : 3_600_000;
      if (!(await condition(() => this.stirred, wait))) await this.askAfterSilent(state, silenceMs);
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
    this.round = this.planOnce(state).finally(() => {
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
    await Promise.all(ready.map((record) => this.start(state, record)));
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
      state.started(spec.id, { workflowId: child.workflowId, firstRunId: child.firstExecutionRunId });
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('a task could not be started', { task: spec.id, attempt, reason: rootMessage(error) });
      state.notStarted(spec.id, rootMessage(error));
      this.stirred = true;
    }
  }

  private async askAfterSilent(state: PlannerState, silenceMs: number): Promise<void> {
    const silent = state.silent(Date.now() - silenceMs);
    if (silent.length === 0) return;
    const standings = await runActivities.describeChains({ chains: silent.map(({ child }) => child) });
    for (const [i, { id, child }] of silent.entries()) {
      const standing = standings[i];
      if (standing !== undefined) state.found(id, child, standing, Date.now());
    }
  }

  private mustContinueAsNew(historyEvents: number): boolean {
    if (this.round !== undefined || this.stirred) return false;
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    return continueAsNewSuggested || historyLength >= historyEvents || this.signals >= MAX_SIGNALS;
  }

  private async continueAsNew(state: PlannerState): Promise<void> {
    await condition(allHandlersFinished);
    if (this.stirred) return;
    const { carried: _, ...input } = this.input;
    const carried: Carried = {
      prepared: defined(this.prepared),
      state: state.toJSON(),
      planning: defined(this.planning).toJSON(),
      startedAt: this.startedAt,
    };
    const chars = JSON.stringify(carried).length;
    if (chars > MAX_CARRIED_CHARS) {
      throw terminal(FailureType.Invariant, `The run's state has ${chars} characters; at most ${MAX_CARRIED_CHARS} are carried on.`);
    }
    const { [PAUSED_MEMO]: _paused, ...others } = workflowInfo().memo ?? {};
    const memo = state.paused === undefined ? others : { ...others, [PAUSED_MEMO]: state.paused };
    await makeContinueAsNewFunc<typeof planner>({ memo })({ ...input, carried });
  }

  private async finish(state: PlannerState, prepared: PreparedRun): Promise<RunReport> {
    this.phase = 'finalizing';
    const { tip } = await runActivities.finishRun({ run: prepared.context, keep: state.keptRefs() });
    this.phase = 'done';
    const report = reportOf({ state, prepared, startedAt: this.startedAt, endedAt: Date.now(), tip });
    setCurrentDetails(PLANNER_TEXT.details(this.snapshot()));
    return report;
  }

  private async cancelled(): Promise<void> {
    this.phase = 'finalizing';
    const { state, prepared } = this;
    if (state === undefined || prepared === undefined) return;
    await this.round?.catch(() => undefined);
    let open = state.openChildren();
    for (let looks = 0; open.length > 0 && looks < 60; looks++) {
      if (looks % 10 === 0) await Promise.all(open.map((child) => this.cancelChild(child)));
      await sleep(2_000);
      const standings = await runActivities.describeChains({ chains: open });
      open = open.filter((_, i) => standings[i]?.kind === 'running');
    }
    if (open.length > 0) log.warn('tasks did not end in time', { tasks: open.map(({ workflowId }) => workflowId) });
    state.cancelOpen(RUN_TEXT.cancelledByPerson);
    await runActivities.finishRun({ run: prepared.context, keep: state.keptRefs() });
    this.phase = 'done';
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
    setHandler(handoffSignal, (message) => this.hear((state) => state.handoff(message, Date.now())));
    setHandler(taskOutcomeSignal, (message) => this.hear((state) => state.outcome(message, Date.now())));
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
      { validator: (said: { text: string } | undefined) => refuseUnless(typeof said?.text === 'string' && said.text.trim() !== '', PLANNER_TEXT.steerWhat) },
    );
    setHandler(
      pauseUpdate,
      (said: { reason?: string } | undefined) => {
        this.pause(said?.reason ?? PLANNER_TEXT.pausedByPerson);
        return PLANNER_TEXT.paused;
      },
      {
        validator: (_said: { reason?: string }) =>
          refuseUnless(this.state !== undefined && this.state.paused === undefined, PLANNER_TEXT.cannotPause),
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
