/**
 * A run's approvals, at its root: takes what planners and tasks below ask, reminds people, and tells each asker the
 * verdict. Nothing is decided but by people, or by the time that the run's settings name.
 */
import { getExternalWorkflowHandle, isCancellation, log } from '@temporalio/workflow';
import type { ApprovalRequest, ApprovalVerdict } from '../../shared/contracts/people.ts';
import type { RunContext } from '../../shared/contracts/run.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { type Chain, sameChain } from '../../shared/base/ids.ts';
import { verdictSignal } from '../../shared/messages.ts';
import { RUN_TEXT } from '../../shared/planner/text.ts';
import { notifyActivities, runActivities } from '../support/activity-policies.ts';
import { noticeOf, type WaitingApproval } from './state/approvals.ts';
import type { PlannerState } from './state/planner-state.ts';
import { openChildren } from './state/task-record.ts';

type Owner = {
  readonly chain: Chain;
  /** Absent until the run is prepared. */
  readonly state: PlannerState | undefined;
  /** At once, or when the run is prepared. */
  hear(change: (state: PlannerState) => void): void;
};

export class RunApprovals {
  private readonly owner: Owner;

  constructor(owner: Owner) {
    this.owner = owner;
  }

  /** Also by the run itself. Who was given a verdict already is told it again. */
  async ask(request: ApprovalRequest): Promise<void> {
    let known: ApprovalVerdict | undefined;
    this.owner.hear((state) => (known = state.approvals.ask(request, Date.now())));
    if (known !== undefined) await this.tell(request.sender, known);
  }

  async decide(waiting: WaitingApproval, approved: boolean, reason: string): Promise<void> {
    let verdict = { id: waiting.id, approved, reason };
    this.owner.hear((state) => {
      verdict = state.approvals.decide(waiting, approved, reason);
      if (this.isOwn(waiting)) state.commands.planDecided(planOf(waiting), verdict);
    });
    log.info(approved ? 'approved' : 'rejected', { what: waiting.name, reason });
    if (!this.isOwn(waiting)) await this.tell(waiting.sender, verdict);
  }

  /** At a cancellation: what waits is not landed, and nothing of it begins. */
  async rejectAll(reason: string): Promise<void> {
    for (const waiting of [...(this.owner.state?.approvals.waiting ?? [])]) await this.decide(waiting, false, reason);
  }

  /** Rejects what has waited too long and reminds people of the rest; reminding goes on in the background. */
  async tend(state: PlannerState, context: RunContext): Promise<void> {
    if (state.approvals.waiting.length === 0) return;
    const { approval } = context.settings;
    const plans = state.commands.unapprovedPlans();
    const below = openChildren(state.tasks).map(({ workflowId }) => workflowId);
    state.approvals.forget((each) =>
      this.isOwn(each) ? !plans.has(planOf(each)) : !below.some((id) => isAtOrBelow(each.sender.workflowId, id)),
    );
    for (const waiting of state.approvals.expired(approval, Date.now())) {
      await this.decide(waiting, false, RUN_TEXT.notApprovedInTime(approval.rejectAfterMinutes ?? 0));
    }
    const due = state.approvals.remind(approval, Date.now());
    if (due.length > 0) void this.remind(state, context, due);
  }

  /** When there is something to tend, in ms since the epoch. */
  nextAt(state: PlannerState, context: RunContext): number {
    return state.approvals.nextAt(context.settings.approval);
  }

  private async tell(sender: Chain, verdict: ApprovalVerdict): Promise<void> {
    try {
      await getExternalWorkflowHandle(sender.workflowId).signal(verdictSignal, verdict);
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.info('who asked for approval had ended', { asker: sender.workflowId, reason: rootMessage(error) });
    }
  }

  private async remind(state: PlannerState, context: RunContext, due: readonly WaitingApproval[]): Promise<void> {
    try {
      await this.forgetGone(state, due);
      const waiting = due.filter(({ id }) => state.approvals.waiting.some((each) => each.id === id));
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
  private async forgetGone(state: PlannerState, due: readonly WaitingApproval[]): Promise<void> {
    const others = due.filter((each) => each.reminders > 1 && !this.isOwn(each)).slice(0, 50);
    if (others.length === 0) return;
    const standings = await runActivities.describeChains({ chains: others.map(({ sender }) => sender) });
    const gone = others.filter((_, i) => standings[i] !== undefined && standings[i].kind !== 'running');
    state.approvals.forget((each) => gone.some(({ id }) => id === each.id));
  }

  private isOwn({ sender }: WaitingApproval): boolean {
    return sameChain(sender, this.owner.chain);
  }
}

const isAtOrBelow = (workflowId: string, above: string): boolean =>
  workflowId === above || workflowId.startsWith(`${above}/`);

/** The plan that a planner's request is about. */
export const planOf = ({ id }: Pick<ApprovalRequest, 'id'>): string => id.slice(id.lastIndexOf('/') + 1);
