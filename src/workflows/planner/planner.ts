/** The root of a run: prepares it, plans and dispatches to its end, and reports. */
import { isCancellation, log, makeContinueAsNewFunc, upsertMemo, workflowInfo } from '@temporalio/workflow';
import { z } from 'zod';
import type { ApprovalRequest } from '../../shared/contracts/people.ts';
import { PlannerInput, PreparedRun, type RunReport } from '../../shared/contracts/run.ts';
import { FailureType, rootMessage, terminal } from '../../shared/base/failures.ts';
import { PAUSED_MEMO } from '../../shared/messages.ts';
import { RUN_TEXT } from '../../shared/planner/text.ts';
import { deliverActivities, prepareActivities, runActivities } from '../support/activity-policies.ts';
import { parseInput } from '../support/input.ts';
import { StuckWatch } from './stuck-watch.ts';
import { SweepScheduler } from './sweep-scheduler.ts';
import { defined } from './position.ts';
import { RunApprovals } from './approvals.ts';
import { listenToAll, listenToRun } from './handlers.ts';
import type { PlannerState } from './state/planner-state.ts';
import { type CarriedState, type PlannerRole, PlanningWorkflow } from './planning-workflow.ts';
import { reportOf } from './report.ts';
import { openChildren, unlandedRefs } from './state/task-record.ts';

/** What continue-as-new hands on; a person's input has none of it. */
const Carried = z.object({
  prepared: PreparedRun,
  state: z.unknown(),
  planning: z.unknown(),
  startedAt: z.number(),
});
const Input = PlannerInput.extend({ carried: Carried.optional() });
type Input = z.infer<typeof Input>;

/** Its children's ids, refs and queue names are made from it, and Temporal's ids end at 1,000. */
const MAX_RUN_ID_CHARS = 200;
const MAX_NOTES = 100;

export async function planner(raw: Input): Promise<RunReport> {
  return await new RunPlanner(parseInput(Input, raw, 'planner')).run();
}

class RunPlanner implements PlannerRole {
  readonly planning: PlanningWorkflow;
  readonly sweeps: SweepScheduler;
  readonly approvals: RunApprovals;
  private readonly input: Input;
  private prepared: PreparedRun | undefined;
  private readonly stuck: StuckWatch;

  constructor(input: Input) {
    this.input = input;
    this.planning = new PlanningWorkflow(this, input.carried);
    this.approvals = new RunApprovals(this.planning);
    this.stuck = new StuckWatch({ planning: this.planning, note: (text) => this.note(text) });
    this.sweeps = new SweepScheduler(this, input.mode === 'reconcile' ? 'reconcile' : 'run');
    // Before anything is heard: an update may come with the first task of a continued run, and is judged by its state.
    if (input.carried !== undefined) this.open(input.carried.prepared);
    listenToAll(this.planning);
    listenToRun(this);
  }

  async run(): Promise<RunReport> {
    const { planning, input } = this;
    const { length } = planning.chain.workflowId;
    if (length > MAX_RUN_ID_CHARS) {
      const limit = `A run's id has at most ${MAX_RUN_ID_CHARS} characters; this one has ${length}.`;
      throw terminal(FailureType.BadInput, limit, 'Start it again with a shorter workflow id.');
    }
    if (input.spec === undefined && input.mode !== 'reconcile') {
      throw terminal(FailureType.BadInput, RUN_TEXT.noSpec, RUN_TEXT.nameSpec);
    }
    if (this.prepared === undefined) this.open(await this.prepare());
    await planning.drive();
    planning.finalize();
    const tip = await this.leave();
    const state = defined(planning.state);
    const prepared = defined(this.prepared);
    if (state.stuck.seen.length > 0) await this.stuck.look(state, prepared.context);
    const report = await this.deliver(
      reportOf({
        state,
        prepared,
        ...this.sweeps.seen(state, prepared.context),
        startedAt: planning.startedAt,
        endedAt: Date.now(),
        tip,
      }),
    );
    planning.finish();
    return report;
  }

  get repo(): string {
    return this.input.repo;
  }

  get notes(): { notes: string[]; unsafe: boolean } {
    return { notes: this.prepared?.notes ?? [], unsafe: this.prepared?.unsafe ?? false };
  }

  private open(prepared: PreparedRun): void {
    const { context } = prepared;
    this.prepared = prepared;
    // prepareRun refuses a run that plans and has none.
    const { spec = { text: RUN_TEXT.reconcileSpec }, carried, mode } = this.input;
    this.planning.begin({ context, spec, above: [], budget: context.settings.budget }, carried);
    if (mode === 'reconcile') this.planning.state?.plan.planNothing();
  }

  private async prepare(): Promise<PreparedRun> {
    const { carried: _, ...input } = this.input;
    // A history of an earlier version has not all of the settings: the schema fills them in.
    return PreparedRun.parse(await prepareActivities.prepareRun({ input, root: this.planning.chain }));
  }

  async hasMore(state: PlannerState): Promise<boolean> {
    return await this.sweeps.finalize(state, defined(this.prepared).context);
  }

  cannotPlan(reason: string): void {
    this.pause(reason);
  }

  async startAnew(carried: CarriedState): Promise<never> {
    const { carried: _, ...input } = this.input;
    // Never without a memo: the one that this run was started with would be carried on, which may say that it is paused.
    const memo = { ...workflowInfo().memo, [PAUSED_MEMO]: this.planning.state?.status.paused ?? null };
    return await makeContinueAsNewFunc<typeof planner>({ memo })({
      ...input,
      carried: { ...carried, prepared: defined(this.prepared) },
    });
  }

  /** The end of a run on its remote. What is done is reported also when the remote cannot be reached any more. */
  async leave(): Promise<string | null> {
    const { prepared } = this;
    const { state, children } = this.planning;
    if (state === undefined || prepared === undefined) return null;
    const sweeps = this.sweeps.running(state);
    if (sweeps.length > 0) await children?.end(sweeps);
    await this.sweeps.leave(state, prepared.context);
    try {
      return (await runActivities.finishRun({ run: prepared.context, keep: unlandedRefs(state.tasks) })).tip;
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.error('the run could not be finished on the remote', { reason: rootMessage(error) });
      prepared.notes.push(RUN_TEXT.notFinished(rootMessage(error)));
      return null;
    }
  }

  /** What has landed is proposed where that is wanted. A host that does not take it costs a note, not the report. */
  private async deliver(report: RunReport): Promise<RunReport> {
    const { context } = defined(this.prepared);
    const { pullRequest, target } = context;
    if (pullRequest === undefined || report.status === 'cancelled') return report;
    const noted = (note: string): RunReport => ({ ...report, notes: [...report.notes, note] });
    try {
      const delivery = await deliverActivities.deliverRun({ run: context, report });
      if (delivery.kind === 'nothing') return noted(RUN_TEXT.nothingToPropose(delivery.reason));
      const { kind: _, ...proposed } = delivery;
      return { ...report, pullRequest: proposed };
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.error('the run could not be proposed', { reason: rootMessage(error) });
      return noted(RUN_TEXT.notProposed(target, pullRequest.into, rootMessage(error)));
    }
  }

  /** A run is paused as a whole: each call of a model below it looks at the root's memo. */
  pause(reason: string): void {
    defined(this.planning.state).commands.pause(Date.now(), reason);
    upsertMemo({ [PAUSED_MEMO]: { since: Date.now(), reason } });
    log.warn('the run is paused', { reason });
    this.planning.wake();
  }

  resume(): void {
    this.planning.hear((state) => state.commands.resume());
    upsertMemo({ [PAUSED_MEMO]: null });
  }

  async ask(request: ApprovalRequest): Promise<void> {
    await this.approvals.ask(request);
  }

  async tend(state: PlannerState): Promise<void> {
    const { context } = defined(this.prepared);
    this.tendStuck(state);
    await this.approvals.tend(state, context);
    await this.sweeps.tend(state, context);
  }

  tendAt(state: PlannerState): number {
    const { context } = defined(this.prepared);
    const stuckAt = this.hasOpen(state) ? this.stuck.nextAt(state) : Infinity;
    return Math.min(this.approvals.nextAt(state, context), this.sweeps.nextAt(state, context), stuckAt);
  }

  /** Asks after workflows that cannot go on, when it is time. */
  tendStuck(state: PlannerState): void {
    if (this.hasOpen(state)) this.stuck.tend(state, defined(this.prepared).context);
  }

  private hasOpen(state: PlannerState): boolean {
    if (!this.planning.endsStuck) return false;
    return openChildren(state.tasks).length + state.cancelled.chains.length + this.sweeps.running(state).length > 0;
  }

  /** For the report; very many say no more than these. */
  private note(text: string): void {
    const notes = this.prepared?.notes;
    if (notes !== undefined && notes.length < MAX_NOTES) notes.push(text);
  }

  async askForWorkers(): Promise<void> {}

  async checkIsWanted(): Promise<void> {}
}
