/**
 * What planners of all levels do: plan, start a workflow for each task, hear what becomes of it, plan again. Wiring
 * only; PlannerState decides what is started and when it is planned. Children are abandoned on purpose (a close
 * policy would fire on continue-as-new too) and are cancelled one by one when their planner is.
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  isCancellation,
  patched,
  setCurrentDetails,
  setHandler,
  TemporalFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { RunContext } from '../../shared/contracts/run.ts';
import type { Phase, RunSnapshot } from '../../shared/contracts/snapshot.ts';
import { isFinished, shouldPlan } from '../../shared/decisions/dispatch.ts';
import { WIND_LOOK_MS } from '../../shared/decisions/stuck.ts';
import { AgentMessage } from '../../shared/contracts/agent-run.ts';
import { type ApprovalRequest, Control } from '../../shared/contracts/people.ts';
import { ModelWait } from '../../shared/contracts/model-wait.ts';
import { FailureType, rootMessage, terminal } from '../../shared/failures.ts';
import type { Chain } from '../../shared/ids.ts';
import {
  controlSignal,
  messageSignal,
  modelWaitSignal,
  snapshotQuery,
  transcriptQuery,
} from '../../shared/messages.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../../shared/run-text.ts';
import { ownChain } from '../agent/ask.ts';
import { parseSignal } from '../input.ts';
import { ModelWaits } from './model-waits.ts';
import { defined, type Place } from './place.ts';
import { Children, quietly } from './children.ts';
import { listenToTasks } from './tasks/listen.ts';
import { listenToPeople, obey, steerAll } from './people.ts';
import { Rounds } from './rounds.ts';
import { PlannerState } from './state.ts';
import { snapshotOf } from './report.ts';
import { openChildren } from './tasks/records.ts';

/** 10,000 signals end a workflow, and the server's suggestion does not count them. */
const MAX_SIGNALS = 4_500;
const MAX_CARRIED_CHARS = 512_000;
/** What a planner carries through continue-as-new beside its input. */
export type CarriedState = { state: unknown; planning: unknown; startedAt: number };

/** Tasks in what the Web UI shows, which is written anew whenever something happens. */
const MAX_DETAILED = 100;

export abstract class PlanningWorkflow {
  protected readonly chain: Chain = ownChain();
  protected readonly startedAt: number;
  place: Place | undefined;
  state: PlannerState | undefined;
  children: Children | undefined;
  protected rounds: Rounds | undefined;
  protected phase: Phase = 'preparing';
  private signals = 0;
  private askedAt = Date.now();
  /** Something happened that the main loop has not looked at. */
  protected stirred = false;
  /** Whether it ends what cannot end by itself; not in histories of earlier versions. */
  protected endsStuck = false;
  private readonly modelWaits = new ModelWaits();
  /** Said before the run was prepared; the state takes it over. */
  private early: ((state: PlannerState) => void)[] = [];

  constructor(carried: CarriedState | undefined) {
    this.startedAt = carried?.startedAt ?? Date.now();
  }

  /** What it does when its model gives no plan, time and again, or none can be used. */
  protected abstract cannotPlan(reason: string): void;
  /** Has a person asked whether a plan may begin. */
  protected abstract ask(request: ApprovalRequest): Promise<void>;
  /** Starts this workflow anew with its state. */
  protected abstract startAnew(carried: CarriedState): Promise<never>;
  /** The repository as a person named it, until it is known. */
  protected abstract get repo(): string;
  /** What is to be done at a certain time. */
  protected async tend(state: PlannerState): Promise<void> {
    for (const { id, reason } of state.overdue(Date.now())) {
      const child = state.cancelTask(id, reason);
      if (child !== undefined) await this.children?.cancel(child);
    }
  }
  /** When there will be something of that, in ms since the epoch. */
  protected tendAt(state: PlannerState): number {
    return state.nextOverdue;
  }
  /** Asked when nothing is left to do: whether there is something after all. */
  protected async unfinished(): Promise<boolean> {
    return false;
  }
  /** Tells the planner above what it has use for: fewer workers, or more. */
  protected async askForWorkers(_state: PlannerState): Promise<void> {}
  /** Looked at now and then: throws when nobody wants this work any more. */
  protected async look(): Promise<void> {}
  protected get notes(): { notes: string[]; unsafe: boolean } {
    return { notes: [], unsafe: false };
  }

  protected begin(place: Place, carried: CarriedState | undefined): void {
    const { context, budget } = place;
    this.place = place;
    this.endsStuck = patched('stuck');
    const limits = { ...context.settings, runId: context.root.workflowId, id: this.chain.workflowId, budget };
    this.state = new PlannerState(limits, carried?.state);
    this.children = new Children({
      chain: this.chain,
      place,
      endsStuck: this.endsStuck,
      onFailed: (id, child, reason) => {
        if (!this.isEnding) this.hear((state) => state.found(id, child, { kind: 'failed', reason }, Date.now()));
      },
    });
    this.rounds = new Rounds(
      {
        chain: this.chain,
        place,
        onEnd: () => (this.stirred = true),
        cannotPlan: (reason) => this.cannotPlan(reason),
        ask: (request) => this.ask(request),
      },
      carried?.planning,
    );
    for (const said of this.early.splice(0)) said(this.state);
    this.phase = 'running';
  }

  /** Plans and dispatches until nothing is left to do. A failure that is no bug ends what is under way first. */
  protected async drive(): Promise<void> {
    try {
      do await this.loop(defined(this.state), defined(this.place).context);
      while (await this.unfinished());
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
    const rounds = defined(this.rounds);
    for (;;) {
      this.stirred = false;
      await this.tend(state);
      await this.dispatch(state);
      if (!rounds.isUnderWay) state.closeWhenSpent();
      // One round after the other must not put a continue-as-new off for ever: it goes first.
      const due = this.mustContinueAsNew(context.settings.historyEvents);
      if (!due && rounds.mayBegin(state) && shouldPlan(state.planningInput())) rounds.begin(state);
      this.describe(state);
      if (!rounds.isUnderWay && this.ended(state)) return;
      if (due && !rounds.isUnderWay && !this.stirred) await this.continueAsNew(state);
      const winds = this.endsStuck && state.winding.length > 0;
      const lookMs = Math.min(silenceMs, winds ? WIND_LOOK_MS : 60_000);
      const waits = openChildren(state.tasks).length + state.winding.length > 0 || this.isBelow;
      const tendMs = Math.max(100, this.tendAt(state) - Date.now());
      await condition(() => this.stirred, Math.min(waits ? lookMs : 3_600_000, tendMs));
      // Also in a run where something happens all the time.
      if (Date.now() - this.askedAt >= lookMs) {
        this.askedAt = Date.now();
        if (await defined(this.children).askAfterSilent(state, silenceMs)) {
          rounds.stirred();
          this.stirred = true;
        }
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
    if (state.paused !== undefined && !isClosedByPerson(state)) return false;
    const { active, queued } = state.planningInput();
    if (state.refused !== undefined || state.closing !== undefined) return active + queued === 0;
    return isFinished(state.planningInput());
  }

  private async dispatch(state: PlannerState): Promise<void> {
    const ready = state.ready();
    for (const { spec } of ready) state.assigned(spec.id, Date.now());
    const children = defined(this.children);
    for (const { child, word } of state.takeWorkersWords())
      void quietly(children.control(child, { kind: 'workers', ...word }));
    const starts = await Promise.allSettled(ready.map((record) => children.start(state, record)));
    const failed = starts.find((start) => start.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    // What did not start changes what can be started.
    if (ready.some(({ status }) => status !== 'running')) this.stirred = true;
    await this.askForWorkers(state);
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
    const planning = defined(this.rounds).toJSON(MAX_CARRIED_CHARS - 1_000 - chars);
    await this.startAnew({ ...rest, planning });
  }

  /** What is done at the end, also when it is cut off, for this reason. */
  protected async leave(_cutOff: string): Promise<unknown> {
    return undefined;
  }

  /** Ends all that this run started and waits for it. Throws nothing but cancellations, so that the reason stays. */
  private async giveUp(reason: string): Promise<void> {
    this.phase = 'finalizing';
    const { state } = this;
    if (state === undefined) return;
    this.rounds?.stop();
    state.cut(reason);
    await this.children?.end([...openChildren(state.tasks), ...state.winding]);
    await this.rounds?.over();
    state.cancelOpen(reason);
    await this.leave(reason);
    this.phase = 'done';
  }

  protected listen(): void {
    listenToTasks(this);
    setHandler(modelWaitSignal, (raw) => {
      const news = parseSignal(ModelWait, raw, 'modelWait');
      if (news !== undefined) this.modelWaits.heard(news);
    });
    setHandler(snapshotQuery, () => this.snapshot());
    setHandler(transcriptQuery, (range) => (this.rounds?.messages ?? []).slice(range?.from ?? 0, range?.to));
    setHandler(messageSignal, (raw) => {
      const message = parseSignal(AgentMessage, raw, 'message');
      if (message !== undefined) steerAll(this, message.text);
    });
    setHandler(controlSignal, (raw) => {
      const control = parseSignal(Control, raw, 'control');
      if (control === undefined) return;
      if (control.kind === 'cancel') this.rounds?.stop();
      obey(this, control);
    });
    listenToPeople(this);
  }

  get isEnding(): boolean {
    return this.phase === 'finalizing' || this.phase === 'done';
  }

  hear(change: (state: PlannerState) => void): void {
    this.signals += 1;
    this.rounds?.stirred();
    if (this.state === undefined) this.early.push(change);
    else change(this.state);
    this.stirred = true;
  }

  private describe(state: PlannerState): void {
    this.phase = this.rounds?.isUnderWay === true && state.planningInput().active === 0 ? 'planning' : 'running';
    setCurrentDetails(PLANNER_TEXT.details(this.snapshot(MAX_DETAILED)));
  }

  protected snapshot(newest?: number): RunSnapshot {
    const waitingForModel = this.modelWaits.all();
    const snapshot = snapshotOf({
      run: this.chain.workflowId,
      phase: this.phase,
      planning: this.rounds?.isUnderWay === true,
      repo: this.repo,
      context: this.place?.context,
      ...this.notes,
      state: this.state,
      startedAt: this.startedAt,
      newest,
    });
    return waitingForModel === undefined ? snapshot : { ...snapshot, waitingForModel };
  }
}

const isClosedByPerson = ({ closing }: PlannerState): boolean => closing?.by === 'person' || closing?.by === 'cancel';
