/**
 * One round of planning: the planner's model sees what is new, looks around in the repository at one commit,
 * and submits a plan that passes the rules. The conversation only grows at its end, until it is begun anew.
 */
import type { RepositoryView, RunActivities } from '../../shared/contracts/activities.ts';
import type { Plan } from '../../shared/contracts/plan.ts';
import type { RunContext, SpecSource } from '../../shared/contracts/run.ts';
import type { Message, ToolCall } from '../../shared/contracts/agent.ts';
import type { Budget } from '../../shared/contracts/budget.ts';
import { type AgentMetrics, NO_METRICS } from '../../shared/contracts/task.ts';
import { extended, spentOf } from '../../shared/planner/budget.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { checkDivision } from '../../shared/planner/division.ts';
import { checkPlan, planLimits } from '../../shared/planner/plan-rules.ts';
import { RUN_TEXT } from '../../shared/planner/text.ts';
import { parseArguments } from '../../shared/agent/tools.ts';
import { runActivities } from '../support/activity-policies.ts';
import { ownChain } from '../agent/think.ts';
import { type Conversation, newConversation } from '../agent/conversation.ts';
import { baselineOf } from '../agent/limits.ts';
import { type LoopEnd, runAgent } from '../agent/loop.ts';
import type { PlannerState } from './state/planner-state.ts';
import { tasksToResume } from './state/resume.ts';
import { knownTasks } from './state/task-record.ts';

/** Carried through continue-as-new; absent before the first round and after a conversation that got too long. */
export type PlanningTalk = { talk: Conversation; view: RepositoryView };

export type CarriedPlanning = { current?: PlanningTalk; turns: number; number: number; refusals?: number };

export type Division = NonNullable<Parameters<RunActivities['briefPlanner']>[0]['division']>;

export type PlanningOf = {
  run: RunContext;
  spec: SpecSource;
  /** From the root planner down to this one's parent. */
  above: Chain[];
  /** What a subplanner divides. */
  division?: Division;
};

export type PlanningEnd =
  | { kind: 'planned'; plan: Plan }
  | { kind: 'failed'; reason: string }
  | { kind: 'spent' }
  /** The conversation got too long: the next round begins a new one, from the scratchpad. */
  | { kind: 'compacted' };

const MAX_REFUSALS = 2;

export class Planning {
  current: PlanningTalk | undefined;
  private turns: number;
  private number: number;
  /** Conversations since the last plan that the models refused. */
  private refusals: number;
  private readonly run: RunContext;
  private readonly spec: SpecSource;
  private readonly above: Chain[];
  private readonly division: Division | undefined;

  constructor({ run, spec, above, division }: PlanningOf, carried?: CarriedPlanning) {
    this.run = run;
    this.spec = spec;
    this.above = above;
    this.division = division;
    this.current = carried?.current;
    this.turns = carried?.turns ?? 0;
    this.number = carried?.number ?? 0;
    this.refusals = carried?.refusals ?? 0;
  }

  get messages(): readonly Message[] {
    return this.current?.talk.messages ?? [];
  }

  /** A conversation longer than `room`, in characters of JSON, is left out: the next round begins anew. */
  toJSON(room: number): CarriedPlanning {
    const { current, turns, number, refusals } = this;
    const fits = current !== undefined && JSON.stringify(current).length <= room;
    const counted = refusals === 0 ? {} : { refusals };
    return fits ? { current, turns, number, ...counted } : { turns, number: number + 1, ...counted };
  }

  /** Throws what the activities throw for good; a model that gives no usable plan is `failed`. */
  async round(state: PlannerState): Promise<PlanningEnd> {
    const share = state.beginRound();
    if (share === null) return { kind: 'spent' };
    const news = state.takeNews();
    try {
      const { talk, view } = await this.opened(state, news);
      const end = await this.loop(state, talk, view, share);
      if (end.kind !== 'planned') state.news.giveBack(news);
      return end;
    } catch (error) {
      state.budget.roundEnded({ metrics: NO_METRICS });
      state.news.giveBack(news);
      throw error;
    }
  }

  private async opened(state: PlannerState, news: ReturnType<PlannerState['takeNews']>): Promise<PlanningTalk> {
    const { run, spec } = this;
    if (this.current !== undefined) {
      const { message, view } = await runActivities.briefReplan({ run, spec, view: this.current.view, news });
      this.current.talk.messages.push(message);
      this.current.view = view;
      return this.current;
    }
    const begun = state.plan.rounds > 0;
    const { messages, view } = await runActivities.briefPlanner({
      run,
      spec,
      ...(this.division === undefined ? {} : { division: this.division }),
      ...(begun ? { resume: { scratchpad: state.plan.scratchpad, ...tasksToResume(state.tasks) } } : {}),
    });
    const talk = { ...newConversation(messages, Date.now()), turn: this.turns, number: this.number };
    this.current = { talk, view };
    if (begun || news.steering.length > 0) {
      const { message } = await runActivities.briefReplan({ run, spec, view, news });
      talk.messages.push(message);
    }
    return this.current;
  }

  private async loop(
    state: PlannerState,
    talk: Conversation,
    view: RepositoryView,
    share: Budget | undefined,
  ): Promise<PlanningEnd> {
    const spent = talk.metrics;
    // The share is of this round; a conversation counts all of its rounds.
    const budget = share === undefined ? undefined : extended(share, spentOf(spent));
    try {
      return this.ended(await this.converse(state, talk, view, budget));
    } finally {
      // Also after a failure: what was asked was paid, and a turn's number is used once.
      this.turns = Math.max(this.turns, talk.turn);
      state.budget.roundEnded({ metrics: difference(talk.metrics, spent), estimated: talk.inFlight });
      delete talk.inFlight;
    }
  }

  private async converse(
    state: PlannerState,
    talk: Conversation,
    view: RepositoryView,
    budget: Budget | undefined,
  ): Promise<LoopEnd<Plan>> {
    const { settings } = this.run;
    return await runAgent<Plan>({
      role: this.division === undefined ? 'planner' : 'subplanner',
      conversation: talk,
      agent: ownChain(),
      ancestors: this.above.length === 0 ? [this.run.root] : this.above,
      limits: settings.agent.planner,
      since: baselineOf(talk, Date.now()),
      ...(budget === undefined ? {} : { budget }),
      maxOutputTokens: settings.maxOutputTokens,
      compactTokens: settings.compactTokens,
      act: async (_turn, calls) => await runActivities.inspect({ run: this.run, commit: view.tip, calls }),
      close: (call) => this.accept(call, state),
    });
  }

  private ended(end: LoopEnd<Plan>): PlanningEnd {
    switch (end.kind) {
      case 'closed':
        this.refusals = 0;
        return { kind: 'planned', plan: end.value };
      case 'compact':
        this.forget();
        return { kind: 'compacted' };
      case 'stopped':
        // The conversation is as it was; only money is wanting.
        if (end.by === 'budget') return { kind: 'spent' };
        this.forget();
        return { kind: 'failed', reason: end.reason };
    }
  }

  /**
   * The models refuse the conversation as it is: the next round begins another. Whether that is worth it: not where
   * they have refused its very beginning, nor for the second time since the last plan.
   */
  refused(): boolean {
    const answered = this.messages.some(({ role }) => role === 'assistant');
    this.refusals += 1;
    const again = answered && this.refusals < MAX_REFUSALS;
    // A person who lets it go on has changed something.
    if (!again) this.refusals = 0;
    this.forget();
    return again;
  }

  /** The next round begins a new conversation; turn numbers go on, as they are part of Idempotency-Keys. */
  private forget(): void {
    this.current = undefined;
    this.number += 1;
  }

  private accept(call: ToolCall, state: PlannerState): { ok: true; value: Plan } | { ok: false; error: string } {
    const parsed = parseArguments('submit_plan', call.arguments);
    if (!parsed.ok) return parsed;
    const plan = parsed.value;
    const known = knownTasks(state.tasks);
    const { errors } = checkPlan(plan, known, planLimits(state.openSpecs()));
    if (this.division !== undefined) {
      const { scope } = this.division.task;
      const { subtasks } = this.run.settings.division;
      errors.push(...checkDivision(plan.tasks, known.length, { scope, subtasks }));
    }
    const { active, pending, queued } = state.planningInput();
    if (plan.tasks.length === 0 && !plan.done && active + pending + queued === 0) errors.push(RUN_TEXT.emptyPlan);
    if (errors.length === 0) return { ok: true, value: plan };
    return {
      ok: false,
      error: `The plan is not usable:\n${errors.map((e) => `- ${e}`).join('\n')}\nSubmit it again, corrected.`,
    };
  }
}

function difference(a: AgentMetrics, b: AgentMetrics): AgentMetrics {
  return {
    turns: a.turns - b.turns,
    toolCalls: a.toolCalls - b.toolCalls,
    inputTokens: a.inputTokens - b.inputTokens,
    cachedInputTokens: a.cachedInputTokens - b.cachedInputTokens,
    outputTokens: a.outputTokens - b.outputTokens,
    costUsd: Math.max(0, a.costUsd - b.costUsd),
    durationMs: a.durationMs - b.durationMs,
  };
}
