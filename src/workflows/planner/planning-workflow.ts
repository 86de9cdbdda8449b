/**
 * What planners of all levels do: plan, start a workflow for each task, hear what becomes of it, plan again. Wiring
 * only; PlannerState decides what is started and when it is planned, and a role says what differs between the planner
 * of a run and that of a division. Children are abandoned on purpose (a close policy would fire on continue-as-new
 * too) and are cancelled one by one when their planner is.
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  isCancellation,
  patched,
  setCurrentDetails,
  TemporalFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { Message } from '../../shared/contracts/agent.ts';
import type { Phase, RunSnapshot } from '../../shared/contracts/snapshot.ts';
import { isFinished, shouldPlan } from '../../shared/planner/dispatch.ts';
import { WIND_LOOK_MS } from '../../shared/planner/stuck.ts';
import type { ApprovalRequest } from '../../shared/contracts/people.ts';
import { FailureType, rootMessage, terminal } from '../../shared/base/failures.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../../shared/planner/text.ts';
import { ownChain } from '../agent/think.ts';
import { ModelWaits } from './state/model-waits.ts';
import { defined, type Position } from './position.ts';
import { Children, quietly } from './children.ts';
import { Rounds } from './planning-loop.ts';
import { PlannerState } from './state/planner-state.ts';
import { snapshotOfRun } from './report.ts';
import { openChildren } from './state/task-record.ts';

/** 10,000 signals end a workflow, and the server's suggestion does not count them. */
const MAX_SIGNALS = 4_500;
const MAX_CARRIED_CHARS = 512_000;
/** What a planner carries through continue-as-new beside its input. */
export type CarriedState = { state: unknown; planning: unknown; startedAt: number };

/** Tasks in what the Web UI shows, which is written anew whenever something happens. */
const MAX_DETAILED = 100;

/** What the planner of a run and that of a division do each in their own way. */
export type PlannerRole = {
  /** The repository as a person named it, until it is known. */
  readonly repo: string;
  /** Of the run's preparation. */
  readonly notes: { notes: string[]; unsafe: boolean };
  /** Its model gives no plan, time and again, or none can be used. */
  cannotPlan(reason: string): void;
  /** Has a person asked whether a plan may begin. */
  ask(request: ApprovalRequest): Promise<void>;
  /** Does what is to be done at a certain time. */
  tend(state: PlannerState): Promise<void>;
  /** When there will be something of that, in ms since the epoch. */
  tendAt(state: PlannerState): number;
  /** Tells the planner above what it has use for: fewer workers, or more. */
  askForWorkers(state: PlannerState): Promise<void>;
  /** Asked now and then: throws when nobody wants this work any more. */
  checkIsWanted(state: PlannerState): Promise<void>;
  /** Asked when nothing is left to do: whether there is something after all. */
  hasMore(state: PlannerState): Promise<boolean>;
  /** What is done when it is cut off, for this reason. */
  leave(reason: string): Promise<unknown>;
  /** Starts this workflow anew with its state. */
  startAnew(carried: CarriedState): Promise<never>;
};

export class PlanningWorkflow {
  readonly chain: Chain = ownChain();
  readonly startedAt: number;
  /** These three are absent until the run is prepared. */
  position: Position | undefined;
  state: PlannerState | undefined;
  children: Children | undefined;
  /** Whether it ends what cannot end by itself; not in histories of earlier versions. */
  endsStuck = false;
  private readonly role: PlannerRole;
  private rounds: Rounds | undefined;
  private phase: Phase = 'preparing';
  private signals = 0;
  private askedAt = Date.now();
  /** Something happened that the main loop has not seen. */
  private dirty = false;
  readonly modelWaits = new ModelWaits();
  /** What was heard before the run was prepared; the state takes it over. */
  private early: ((state: PlannerState) => void)[] = [];

  constructor(role: PlannerRole, carried: CarriedState | undefined) {
    this.role = role;
    this.startedAt = carried?.startedAt ?? Date.now();
  }

  begin(position: Position, carried: CarriedState | undefined): void {
    const { context, budget } = position;
    this.position = position;
    this.endsStuck = patched('stuck');
    const limits = { ...context.settings, runId: context.root.workflowId, id: this.chain.workflowId, budget };
    this.state = new PlannerState(limits, carried?.state);
    this.children = new Children({
      chain: this.chain,
      position,
      endsStuck: this.endsStuck,
      onFailed: (id, child, reason) => {
        if (!this.isEnding) this.hear((state) => state.events.found(id, child, { kind: 'failed', reason }, Date.now()));
      },
    });
    this.rounds = new Rounds(
      {
        chain: this.chain,
        position,
        onEnd: () => (this.dirty = true),
        cannotPlan: (reason) => this.role.cannotPlan(reason),
        ask: (request) => this.role.ask(request),
      },
      carried?.planning,
    );
    for (const change of this.early.splice(0)) change(this.state);
    this.phase = 'running';
  }

  /** Plans and dispatches until nothing is left to do. A failure that is no bug ends what is under way first. */
  async drive(): Promise<void> {
    try {
      do await this.loop(defined(this.state));
      while (await this.role.hasMore(defined(this.state)));
    } catch (error) {
      // Anything else is continue-as-new, or a bug: that fails the workflow task, and a corrected worker goes on.
      if (!(error instanceof TemporalFailure)) throw error;
      const reason = isCancellation(error) ? RUN_TEXT.cancelledByPerson : rootMessage(error);
      await CancellationScope.nonCancellable(() => this.cutOff(reason));
      throw error;
    }
  }

  private async loop(state: PlannerState): Promise<void> {
    const { context, above } = defined(this.position);
    const silenceMs = context.settings.childSilenceSeconds * 1_000;
    const rounds = defined(this.rounds);
    for (;;) {
      this.dirty = false;
      await this.cancelOverdue(state);
      await this.role.tend(state);
      await this.dispatch(state);
      if (!rounds.isUnderWay) state.closeWhenSpent();
      // One round after the other must not put a continue-as-new off for ever: it goes first.
      const due = this.mustContinueAsNew(context.settings.historyEvents);
      if (!due && rounds.mayBegin(state) && shouldPlan(state.planningInput())) rounds.begin(state);
      this.showDetails(state);
      if (!rounds.isUnderWay && hasEnded(state)) return;
      if (due && !rounds.isUnderWay && !this.dirty) await this.continueAsNew(state);
      const winds = this.endsStuck && state.cancelled.chains.length > 0;
      const silentMs = Math.min(silenceMs, winds ? WIND_LOOK_MS : 60_000);
      const waits = openChildren(state.tasks).length + state.cancelled.chains.length > 0 || above.length > 0;
      const tendAt = Math.min(state.commands.nextOverdue, this.role.tendAt(state));
      const tendMs = Math.max(100, tendAt - Date.now());
      await condition(() => this.dirty, Math.min(waits ? silentMs : 3_600_000, tendMs));
      // Also in a run where something happens all the time.
      if (Date.now() - this.askedAt >= silentMs) {
        this.askedAt = Date.now();
        if (await defined(this.children).askAfterSilent(state, silenceMs)) {
          rounds.somethingHappened();
          this.dirty = true;
        }
        await this.role.checkIsWanted(state);
      }
    }
  }

  /** Tasks that had time to hand off and did not. */
  private async cancelOverdue(state: PlannerState): Promise<void> {
    for (const { id, reason } of state.commands.overdue(Date.now())) {
      const child = state.commands.cancelTask(id, reason);
      if (child !== undefined) await this.children?.cancel(child);
    }
  }

  private async dispatch(state: PlannerState): Promise<void> {
    const ready = state.dispatch.ready();
    for (const { spec } of ready) state.events.assigned(spec.id, Date.now());
    const children = defined(this.children);
    for (const { child, word } of state.dispatch.takeLoans())
      void quietly(children.control(child, { kind: 'workers', ...word }));
    const starts = await Promise.allSettled(ready.map((record) => children.start(state, record)));
    const failed = starts.find((start) => start.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    // What did not start changes what can be started.
    if (ready.some(({ status }) => status !== 'running')) this.dirty = true;
    await this.role.askForWorkers(state);
  }

  private mustContinueAsNew(historyEvents: number): boolean {
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    return continueAsNewSuggested || historyLength >= historyEvents || this.signals >= MAX_SIGNALS;
  }

  private async continueAsNew(state: PlannerState): Promise<void> {
    await condition(allHandlersFinished);
    if (this.dirty) return;
    const rest = { state: state.toJSON(), startedAt: this.startedAt };
    const chars = JSON.stringify({ ...rest, position: this.position }).length;
    if (chars > MAX_CARRIED_CHARS) {
      throw terminal(
        FailureType.Invariant,
        `The run's state has ${chars} characters; at most ${MAX_CARRIED_CHARS} are carried on.`,
      );
    }
    const planning = defined(this.rounds).toJSON(MAX_CARRIED_CHARS - 1_000 - chars);
    await this.role.startAnew({ ...rest, planning });
  }

  /** Ends all that this run started and waits for it. Throws nothing but cancellations, so that the reason stays. */
  private async cutOff(reason: string): Promise<void> {
    this.phase = 'finalizing';
    const { state } = this;
    if (state === undefined) return;
    this.rounds?.stop();
    state.commands.cutOff(reason);
    await this.children?.end([...openChildren(state.tasks), ...state.cancelled.chains]);
    await this.rounds?.over();
    state.commands.cancelOpen(reason);
    await this.role.leave(reason);
    this.phase = 'done';
  }

  /** It has done all that it had to; what people send from now on is refused. */
  finalize(): void {
    this.phase = 'finalizing';
  }

  finish(): void {
    this.phase = 'done';
    setCurrentDetails(PLANNER_TEXT.details(this.snapshot()));
  }

  get isEnding(): boolean {
    return this.phase === 'finalizing' || this.phase === 'done';
  }

  /** At once, or when the run is prepared. */
  hear(change: (state: PlannerState) => void): void {
    this.signals += 1;
    this.rounds?.somethingHappened();
    if (this.state === undefined) this.early.push(change);
    else change(this.state);
    this.dirty = true;
  }

  /** Something has changed that no message tells of. */
  wake(): void {
    this.dirty = true;
  }

  /** Gives the round of planning up that is under way. */
  stopPlanning(): void {
    this.rounds?.stop();
  }

  /** Asks again for the plans that wait for a person. */
  async askForPlans(state: PlannerState): Promise<void> {
    for (const plan of state.commands.unapprovedPlans().keys()) await this.rounds?.askFor(state, plan);
  }

  get messages(): readonly Message[] {
    return this.rounds?.messages ?? [];
  }

  private showDetails(state: PlannerState): void {
    this.phase = this.rounds?.isUnderWay === true && state.planningInput().active === 0 ? 'planning' : 'running';
    setCurrentDetails(PLANNER_TEXT.details(this.snapshot(MAX_DETAILED)));
  }

  snapshot(newest?: number): RunSnapshot {
    const waitingForModel = this.modelWaits.all();
    const snapshot = snapshotOfRun({
      run: this.chain.workflowId,
      phase: this.phase,
      planning: this.rounds?.isUnderWay === true,
      repo: this.role.repo,
      context: this.position?.context,
      ...this.role.notes,
      state: this.state,
      startedAt: this.startedAt,
      newest,
    });
    return waitingForModel === undefined ? snapshot : { ...snapshot, waitingForModel };
  }
}

function hasEnded(state: PlannerState): boolean {
  if (state.cancelled.chains.length > 0) return false;
  const { paused, closing, refused } = state.status;
  const closedByPerson = closing?.by === 'person' || closing?.by === 'cancel';
  if (paused !== undefined && !closedByPerson) return false;
  const { active, queued } = state.planningInput();
  if (refused !== undefined || closing !== undefined) return active + queued === 0;
  return isFinished(state.planningInput());
}
