/** A planner's rounds of planning, one at a time, in the background of its dispatch. */
import { CancellationScope, isCancellation, log, patched, sleep } from '@temporalio/workflow';
import type { Message } from '../../shared/contracts/agent.ts';
import type { ApprovalRequest } from '../../shared/contracts/people.ts';
import type { Plan } from '../../shared/contracts/plan.ts';
import { FailureType, failureTypeOf, rootMessage } from '../../shared/base/failures.ts';
import { type Chain, taskName } from '../../shared/base/ids.ts';
import { RUN_TEXT } from '../../shared/planner/text.ts';
import type { Position } from './position.ts';
import type { PlannerState } from './state/planner-state.ts';
import { type CarriedPlanning, Planning } from './planning-round.ts';

/** What its planner does for it. */
export type RoundsOf = {
  chain: Chain;
  position: Position;
  /** A round is over, however it ended. */
  onEnd(): void;
  /** No plan came, time and again, or none can be had. */
  cannotPlan(reason: string): void;
  /** Has a person asked whether a plan may begin. */
  ask(request: ApprovalRequest): Promise<void>;
};

export class Rounds {
  private readonly of: RoundsOf;
  private readonly planning: Planning;
  private round: Promise<void> | undefined;
  private scope: CancellationScope | undefined;
  /** A round found too little money while others held some: it is tried again when one of them has ended. */
  private unfunded = false;

  constructor(of: RoundsOf, carried: unknown) {
    this.of = of;
    const { context, spec, above, division } = of.position;
    this.planning = new Planning(
      { run: context, spec, above, ...(division === undefined ? {} : { division }) },
      carried as CarriedPlanning | undefined,
    );
  }

  /** What is carried on, in at most so many characters as far as that goes. */
  toJSON(room: number): CarriedPlanning {
    return this.planning.toJSON(room);
  }

  get messages(): readonly Message[] {
    return this.planning.messages;
  }

  get isUnderWay(): boolean {
    return this.round !== undefined;
  }

  /** Something happened, so that there may be money again. */
  somethingHappened(): void {
    this.unfunded = false;
  }

  mayBegin(state: PlannerState): boolean {
    if (this.round !== undefined || this.unfunded) return false;
    return state.status.mayStart;
  }

  /** Starts a round in the background: tasks are dispatched and heard while the model plans. */
  begin(state: PlannerState): void {
    const scope = new CancellationScope();
    this.scope = scope;
    this.round = scope
      .run(() => this.once(state))
      .finally(() => {
        this.round = undefined;
        this.of.onEnd();
      });
    this.round.catch(() => undefined);
  }

  /** Gives the round up that is under way. */
  stop(): void {
    this.scope?.cancel();
  }

  /** Resolves when none is under way. */
  async over(): Promise<void> {
    await this.round?.catch(() => undefined);
  }

  /** Asks for a plan that waits for a person; again, where nobody answers. */
  async askFor(state: PlannerState, plan: string): Promise<void> {
    const { chain, position } = this.of;
    const tasks = state.commands.unapprovedPlans().get(plan) ?? [];
    const { workflowId } = position.context.root;
    const path = workflowId === chain.workflowId ? [] : [taskName(workflowId, chain.workflowId)];
    await this.of.ask({
      id: `${chain.firstRunId}/${plan}`,
      sender: chain,
      name: [...path, plan].join('/'),
      kind: 'plan',
      text: RUN_TEXT.planAsked(tasks.map(({ spec }) => spec)),
    });
  }

  private async once(state: PlannerState): Promise<void> {
    let reason: string;
    try {
      let end = await this.planning.round(state);
      // No failure, as long as what is begun anew comes to a plan: one that is too long again would be so for ever.
      if (end.kind === 'compacted') end = await this.planning.round(state);
      if (end.kind === 'planned') {
        log.info('planned', { tasks: end.plan.tasks.map(({ id }) => id), done: end.plan.done });
        await this.planned(state, end.plan);
        return;
      }
      if (end.kind === 'spent') {
        // What others hold may come back: until then nothing is planned.
        this.unfunded = state.roundUnfunded();
        return;
      }
      reason = end.kind === 'compacted' ? RUN_TEXT.tooLongAgain : end.reason;
    } catch (error) {
      if (isCancellation(error)) return;
      reason = rootMessage(error);
      if (failureTypeOf(error) === FailureType.ModelUnusable) {
        this.of.cannotPlan(RUN_TEXT.modelUnusable(reason));
        return;
      }
      const refused = failureTypeOf(error) === FailureType.RequestRefused && patched('refused-planning');
      if (refused && !this.planning.refused()) {
        this.of.cannotPlan(RUN_TEXT.planningRefused(reason));
        return;
      }
    }
    const times = state.plan.failed();
    log.warn('planning failed', { times, reason });
    const { planningFailures } = this.of.position.context.settings;
    if (times >= planningFailures) this.of.cannotPlan(RUN_TEXT.planningKeepsFailing(times, reason));
    else await sleep(Math.min(60_000, 1_000 * 2 ** times));
  }

  private async planned(state: PlannerState, plan: Plan): Promise<void> {
    const { approvals } = this.of.position.context.settings;
    const name = state.applyPlan(plan, Date.now(), approvals.includes('plan'));
    // It may have come to its end while the model planned.
    const { closing } = state.status;
    if (closing !== undefined) state.closeFor(closing.by, closing.reason);
    else if (name !== undefined) await this.askFor(state, name);
  }
}
