/**
 * A run's approvals, at its root: takes what planners and tasks below ask, reminds people, and tells each asker the
 * verdict. Nothing is decided but by people, or by the time that the run's settings name.
 */
import { getExternalWorkflowHandle, isCancellation, log, setHandler } from '@temporalio/workflow';
import { Approve, ApprovalRequest, Reject } from '../../shared/contracts/people.ts';
import type { RunContext } from '../../shared/contracts/run.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { type Chain, sameChain } from '../../shared/base/ids.ts';
import { approvalSignal, approveUpdate, rejectUpdate, verdictSignal } from '../../shared/messages.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../../shared/planner/text.ts';
import { notifyActivities, runActivities } from '../support/activity-policies.ts';
import { noticeOf, type Waiting } from './state/approvals.ts';
import { parseSignal } from '../support/input.ts';
import type { Addressed } from './handlers.ts';
import type { PlannerState } from './state/planner-state.ts';
import { refused, refuseUnless, said } from '../support/refusals.ts';
import { openChildren } from './state/task-record.ts';

export class Approvals {
  private readonly chain: Chain;
  private readonly planner: Addressed;

  constructor(options: { chain: Chain; planner: Addressed }) {
    this.chain = options.chain;
    this.planner = options.planner;
  }

  listen(): void {
    setHandler(approvalSignal, async (raw) => {
      const request = parseSignal(ApprovalRequest, raw, 'approval');
      if (request !== undefined) await this.ask(request);
    });
    setHandler(
      approveUpdate,
      async (raw) => {
        const { name, all } = said(Approve, raw, 'approve');
        const { desk } = this.prepared();
        const named = all ? [...desk.waiting] : [desk.named(name)].filter((each) => typeof each !== 'string');
        for (const waiting of named) await this.decide(waiting, true, '');
        return PLANNER_TEXT.approved(named.map((each) => each.name));
      },
      { validator: (raw) => this.validate(said(Approve, raw, 'approve')) },
    );
    setHandler(
      rejectUpdate,
      async (raw) => {
        const { name, reason } = said(Reject, raw, 'reject');
        const waiting = this.prepared().desk.named(name);
        if (typeof waiting === 'string') throw refused(waiting);
        await this.decide(waiting, false, reason);
        return PLANNER_TEXT.rejected(waiting.name);
      },
      { validator: (raw) => this.validate({ ...said(Reject, raw, 'reject'), all: false }) },
    );
  }

  /** Also by the run itself. Who was given a verdict already is told it again. */
  async ask(request: ApprovalRequest): Promise<void> {
    let known: ReturnType<PlannerState['desk']['ask']>;
    this.planner.hear((state) => (known = state.desk.ask(request, Date.now())));
    if (known !== undefined) await this.tell(request.sender, known);
  }

  /** Rejects what has waited too long and reminds people of the rest; reminding goes on in the background. */
  async tend(state: PlannerState, context: RunContext): Promise<void> {
    if (state.desk.waiting.length === 0) return;
    const { approval } = context.settings;
    const plans = state.heldPlans();
    const below = openChildren(state.tasks).map(({ workflowId }) => workflowId);
    state.desk.forget((each) =>
      this.isOwn(each) ? !plans.has(planOf(each)) : !below.some((id) => isAtOrBelow(each.sender.workflowId, id)),
    );
    for (const waiting of state.desk.expired(approval, Date.now())) {
      await this.decide(waiting, false, RUN_TEXT.notApprovedInTime(approval.rejectAfterMinutes ?? 0));
    }
    const due = state.desk.remind(approval, Date.now());
    if (due.length > 0) void this.remind(state, context, due);
  }

  /** When there is something to tend, in ms since the epoch. */
  nextAt(state: PlannerState, context: RunContext): number {
    return state.desk.nextAt(context.settings.approval);
  }

  /** At a cancellation: what waits is not landed, and nothing of it begins. */
  async rejectAll(reason: string): Promise<void> {
    for (const waiting of [...(this.planner.state?.desk.waiting ?? [])]) await this.decide(waiting, false, reason);
  }

  private async decide(waiting: Waiting, approved: boolean, reason: string): Promise<void> {
    let verdict = { id: waiting.id, approved, reason };
    this.planner.hear((state) => {
      verdict = state.desk.decide(waiting, approved, reason);
      if (this.isOwn(waiting)) state.planDecided(planOf(waiting), verdict);
    });
    log.info(approved ? 'approved' : 'rejected', { what: waiting.name, reason });
    if (!this.isOwn(waiting)) await this.tell(waiting.sender, verdict);
  }

  private async tell(sender: Chain, verdict: { id: string; approved: boolean; reason: string }): Promise<void> {
    try {
      await getExternalWorkflowHandle(sender.workflowId).signal(verdictSignal, verdict);
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.info('who asked for approval had ended', { asker: sender.workflowId, reason: rootMessage(error) });
    }
  }

  private async remind(state: PlannerState, context: RunContext, due: readonly Waiting[]): Promise<void> {
    try {
      await this.forgetGone(state, due);
      const waiting = due.filter(({ id }) => state.desk.waiting.some((each) => each.id === id));
      if (waiting.length === 0) return;
      await notifyActivities.notify({
        run: context.root.workflowId,
        repo: context.repo.location,
        target: context.target,
        approvals: waiting.map(noticeOf),
      });
    } catch (error) {
      if (!isCancellation(error)) log.warn('people could not be told what waits', { reason: rootMessage(error) });
    }
  }

  /** Whoever has ended without a word waits for nothing any more. */
  private async forgetGone(state: PlannerState, due: readonly Waiting[]): Promise<void> {
    const others = due.filter((each) => each.reminders > 1 && !this.isOwn(each)).slice(0, 50);
    if (others.length === 0) return;
    const standings = await runActivities.describeChains({ chains: others.map(({ sender }) => sender) });
    const gone = others.filter((_, i) => standings[i] !== undefined && standings[i].kind !== 'running');
    state.desk.forget((each) => gone.some(({ id }) => id === each.id));
  }

  private validate({ name, all }: { name?: string | undefined; all: boolean }): void {
    const { desk } = this.prepared();
    if (all) refuseUnless(desk.waiting.length > 0, PLANNER_TEXT.nothingWaits);
    else {
      const named = desk.named(name);
      if (typeof named === 'string') throw refused(named);
    }
  }

  private prepared(): PlannerState {
    const { state, isEnding } = this.planner;
    if (state === undefined) throw refused(PLANNER_TEXT.notPrepared);
    refuseUnless(!isEnding, PLANNER_TEXT.ending);
    return state;
  }

  private isOwn({ sender }: Waiting): boolean {
    return sameChain(sender, this.chain);
  }
}

const isAtOrBelow = (workflowId: string, above: string): boolean =>
  workflowId === above || workflowId.startsWith(`${above}/`);

/** The plan that a planner's request is about. */
const planOf = ({ id }: Waiting): string => id.slice(id.lastIndexOf('/') + 1);
