/** The root of a run: prepares it, plans and dispatches to its end, and reports. */
import {
  isCancellation,
  log,
  makeContinueAsNewFunc,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import { z } from 'zod';
import { type ApprovalRequest, CancelRun, Pause } from '../../shared/contracts/people.ts';
import { PlannerInput, PreparedRun, type RunReport } from '../../shared/contracts/run.ts';
import { FailureType, rootMessage, terminal } from '../../shared/failures.ts';
import type { Chain } from '../../shared/ids.ts';
import { cancelUpdate, PAUSED_MEMO, pauseUpdate, resumeUpdate } from '../../shared/messages.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../../shared/run-text.ts';
import { deliverActivities, prepareActivities, runActivities } from '../activities.ts';
import { parseInput } from '../input.ts';
import { StuckWatch } from './stuck.ts';
import { Sweeps } from './sweeps.ts';
import { defined } from './place.ts';
import { Approvals } from './approvals.ts';
import { giveUpAll } from './people.ts';
import type { PlannerState } from './state.ts';
import { type CarriedState, PlanningWorkflow } from './planning-workflow.ts';
import { refuseUnless, said } from '../refusals.ts';
import { reportOf } from './report.ts';
import { keptRefs, openChildren } from './tasks/records.ts';

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
  return await new Planner(parseInput(Input, raw, 'planner')).run();
}

class Planner extends PlanningWorkflow {
  private readonly input: Input;
  private prepared: PreparedRun | undefined;
  private readonly sweeps: Sweeps;
  private readonly stuckWatch: StuckWatch;

  private readonly approvals: Approvals;

  constructor(input: Input) {
    super(input.carried);
    this.input = input;
    this.approvals = new Approvals({ chain: this.chain, planner: this });
    this.stuckWatch = new StuckWatch({
      chain: this.chain,
      note: (text) => this.note(text),
      onNews: () => (this.stirred = true),
    });
    const owner = {
      chain: this.chain,
      hear: this.hear.bind(this),
      endsStuck: () => this.endsStuck,
      tendStuck: () => this.tendStuck(),
      end: async (sweep: Chain) => this.children?.end([sweep]),
    };
    this.sweeps = new Sweeps(owner, input.mode === 'reconcile' ? 'reconcile' : 'run');
    // Before anything is heard: an update may come with the first task of a continued run, and is judged by its state.
    if (input.carried !== undefined) this.open(input.carried.prepared);
    this.listen();
    this.sweeps.listen();
    this.approvals.listen();
    this.listenToPauses();
    this.listenToCancel();
  }

  async run(): Promise<RunReport> {
    const { length } = this.chain.workflowId;
    if (length > MAX_RUN_ID_CHARS) {
      const limit = `A run's id has at most ${MAX_RUN_ID_CHARS} characters; this one has ${length}.`;
      throw terminal(FailureType.BadInput, limit, 'Start it again with a shorter workflow id.');
    }
    if (this.input.spec === undefined && this.input.mode !== 'reconcile') {
      throw terminal(FailureType.BadInput, RUN_TEXT.noSpec, RUN_TEXT.nameSpec);
    }
    if (this.prepared === undefined) this.open(await this.prepare());
    await this.drive();
    this.phase = 'finalizing';
    const tip = await this.leave();
    if (this.state !== undefined && this.state.seenStuck.length > 0) {
      await this.stuckWatch.look(this.state, defined(this.place).context);
    }
    const { state, prepared, startedAt } = this;
    const report = await this.deliver(
      reportOf({
        state: defined(state),
        prepared: defined(prepared),
        ...this.sweeps.seen(defined(state), defined(prepared).context),
        startedAt,
        endedAt: Date.now(),
        tip,
      }),
    );
    this.phase = 'done';
    setCurrentDetails(PLANNER_TEXT.details(this.snapshot()));
    return report;
  }

  protected get repo(): string {
    return this.input.repo;
  }

  protected override get notes(): { notes: string[]; unsafe: boolean } {
    return { notes: this.prepared?.notes ?? [], unsafe: this.prepared?.unsafe ?? false };
  }

  private open(prepared: PreparedRun): void {
    const { context } = prepared;
    this.prepared = prepared;
    // prepareRun refuses a run that plans and has none.
    const { spec = { text: RUN_TEXT.reconcileSpec }, carried, mode } = this.input;
    this.begin({ context, spec, above: [], budget: context.settings.budget }, carried);
    if (mode === 'reconcile') this.state?.planNothing();
  }

  private async prepare(): Promise<PreparedRun> {
    const { carried: _, ...input } = this.input;
    // A history of an earlier version has not all of the settings: the schema fills them in.
    return PreparedRun.parse(await prepareActivities.prepareRun({ input, root: this.chain }));
  }

  protected override async unfinished(): Promise<boolean> {
    return await this.sweeps.finalize(defined(this.state), defined(this.place).context);
  }

  protected cannotPlan(reason: string): void {
    this.pause(reason);
  }

  protected async startAnew(carried: CarriedState): Promise<never> {
    const { carried: _, ...input } = this.input;
    // Never without a memo: the one that this run was started with would be carried on, which may say that it is paused.
    const memo = { ...workflowInfo().memo, [PAUSED_MEMO]: this.state?.paused ?? null };
    return await makeContinueAsNewFunc<typeof planner>({ memo })({
      ...input,
      carried: { ...carried, prepared: defined(this.prepared) },
    });
  }

  /** The end of a run on its remote. What is done is reported also when the remote cannot be reached any more. */
  protected override async leave(): Promise<string | null> {
    const { state, prepared } = this;
    if (state === undefined || prepared === undefined) return null;
    const sweeps = this.sweeps.running(state);
    if (sweeps.length > 0) await this.children?.end(sweeps);
    await this.sweeps.leave(state, prepared.context);
    try {
      return (await runActivities.finishRun({ run: prepared.context, keep: keptRefs(state.tasks) })).tip;
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

  private pause(reason: string): void {
    const state = defined(this.state);
    state.pause(Date.now(), reason);
    upsertMemo({ [PAUSED_MEMO]: { since: Date.now(), reason } });
    log.warn('the run is paused', { reason });
    this.stirred = true;
  }

  protected async ask(request: ApprovalRequest): Promise<void> {
    await this.approvals.ask(request);
  }

  protected override async tend(state: PlannerState): Promise<void> {
    await super.tend(state);
    this.tendStuck();
    await this.approvals.tend(state, defined(this.place).context);
    await this.sweeps.tend(state, defined(this.place).context);
  }

  protected override tendAt(state: PlannerState): number {
    const { context } = defined(this.place);
    const stuckAt = this.hasOpen(state) ? this.stuckWatch.nextAt(state) : Infinity;
    const approvalsAt = this.approvals.nextAt(state, context);
    return Math.min(super.tendAt(state), approvalsAt, this.sweeps.nextAt(state, context), stuckAt);
  }

  private hasOpen(state: PlannerState): boolean {
    if (!this.endsStuck) return false;
    return openChildren(state.tasks).length + state.winding.length + this.sweeps.running(state).length > 0;
  }

  private tendStuck(): void {
    const state = defined(this.state);
    if (this.hasOpen(state)) this.stuckWatch.tend(state, defined(this.place).context);
  }

  /** For the report; very many say no more than these. */
  private note(text: string): void {
    const notes = this.prepared?.notes;
    if (notes !== undefined && notes.length < MAX_NOTES) notes.push(text);
  }

  /** In good order: agents hand off what there is, which takes calls of their models. */
  private listenToCancel(): void {
    setHandler(
      cancelUpdate,
      async (raw) => {
        const { reason = PLANNER_TEXT.cancelledBy, graceMinutes } = said(CancelRun, raw, 'cancel');
        this.rounds?.stop();
        if (this.state?.paused !== undefined) this.unpause();
        giveUpAll(this, reason, Date.now() + graceMinutes * 60_000);
        await this.approvals.rejectAll(reason);
        return PLANNER_TEXT.cancelling(graceMinutes);
      },
      {
        validator: (raw) => {
          said(CancelRun, raw, 'cancel');
          refuseUnless(this.state !== undefined, PLANNER_TEXT.notPrepared);
          refuseUnless(!this.isEnding, PLANNER_TEXT.ending);
          const { closing } = defined(this.state);
          refuseUnless(closing?.by !== 'cancel', PLANNER_TEXT.closing(closing?.reason ?? ''));
        },
      },
    );
  }

  private unpause(): void {
    this.hear((state) => state.resume());
    upsertMemo({ [PAUSED_MEMO]: null });
  }

  /** A run is paused as a whole: each call of a model below it looks at the root's memo. */
  private listenToPauses(): void {
    setHandler(
      pauseUpdate,
      (raw) => {
        this.pause(said(Pause, raw, 'pause').reason ?? PLANNER_TEXT.pausedByPerson);
        return PLANNER_TEXT.paused;
      },
      {
        validator: (raw) => {
          said(Pause, raw, 'pause');
          refuseUnless(this.state !== undefined && this.state.paused === undefined, PLANNER_TEXT.cannotPause);
          refuseUnless(!this.isEnding, PLANNER_TEXT.ending);
        },
      },
    );
    setHandler(
      resumeUpdate,
      () => {
        this.unpause();
        return PLANNER_TEXT.resumed;
      },
      { validator: () => refuseUnless(this.state?.paused !== undefined, PLANNER_TEXT.notPaused) },
    );
  }
}
