/** The reconciler's agent: looks around at the commit that fails, and submits the tasks that mend it. */
import { isCancellation, log } from '@temporalio/workflow';
import type { CheckError, CheckRun } from '../../shared/contracts/checks.ts';
import type { Message, ToolCall } from '../../shared/contracts/agent.ts';
import type { Fixes, ReconcilerInput } from '../../shared/contracts/sweep.ts';
import { type AgentMetrics, NO_METRICS } from '../../shared/contracts/task.ts';
import { fixProblems, fixTasks, type MadeFixes, plainFixes } from '../../shared/reconciler/fixes.ts';
import { FailureType, failureTypeOf, rootMessage } from '../../shared/base/failures.ts';
import { SWEEP_TEXT } from '../../shared/reconciler/text.ts';
import { parseArguments } from '../../shared/agent/tools.ts';
import { runActivities, sweepActivities } from '../support/activity-policies.ts';
import { ownChain } from '../agent/think.ts';
import { type Conversation, newConversation } from '../agent/conversation.ts';
import { runAgent } from '../agent/loop.ts';

/** What the model is told of; more are there once these are mended. */
const MAX_ERRORS = 100;

export class FixSearch {
  private readonly input: ReconcilerInput;
  private talk: Conversation | undefined;

  constructor(input: ReconcilerInput) {
    this.input = input;
  }

  get messages(): Message[] {
    return this.talk?.messages ?? [];
  }

  /** A model that gives nothing usable is no reason to leave the branch broken: each failing check is a task then. */
  async find(red: {
    commit: string;
    since: string;
    errors: CheckError[];
    checks: CheckRun[];
    number: number;
  }): Promise<MadeFixes & { metrics: AgentMetrics }> {
    const { checks, number } = red;
    const errors = red.errors.slice(0, MAX_ERRORS);
    const { taken } = this.input;
    let proposed: Fixes | string;
    try {
      proposed = await this.ask({ ...red, errors });
    } catch (error) {
      if (isCancellation(error) || failureTypeOf(error) === FailureType.Orphaned) throw error;
      proposed = rootMessage(error);
    }
    const metrics = this.talk?.metrics ?? NO_METRICS;
    if (typeof proposed !== 'string') return { ...fixTasks(proposed, errors, checks), metrics };
    log.warn('the reconciler has no fixes of its model; each failing check is a task', { reason: proposed });
    return { ...plainFixes(errors, checks, { number, taken }), metrics };
  }

  /** The model's fixes, or why there are none. */
  private async ask(red: {
    commit: string;
    since: string;
    errors: CheckError[];
    checks: CheckRun[];
  }): Promise<Fixes | string> {
    const { run, tried, ancestors, budget } = this.input;
    const { commit, since, errors } = red;
    const checks = red.checks.filter(({ status }) => status !== 'passed').map((check) => ({ ...check, errors: [] }));
    const { messages } = await sweepActivities.briefReconciler({ run, commit, since, errors, checks, tried });
    const talk = newConversation(messages, Date.now());
    this.talk = talk;
    const end = await runAgent<Fixes>({
      role: 'reconciler',
      conversation: talk,
      agent: ownChain(),
      ancestors,
      limits: run.settings.agent.planner,
      ...(budget === undefined ? {} : { budget }),
      maxOutputTokens: run.settings.maxOutputTokens,
      compactTokens: run.settings.compactTokens,
      act: async (_turn, calls) => await runActivities.inspect({ run, commit, calls }),
      close: (call) => this.accept(call, errors),
    });
    if (end.kind === 'closed') return end.value;
    return end.kind === 'stopped' ? end.reason : 'Its conversation got too long.';
  }

  private accept(call: ToolCall, errors: readonly CheckError[]) {
    const parsed = parseArguments('submit_fixes', call.arguments);
    if (!parsed.ok) return parsed;
    const problems = fixProblems(parsed.value, { errors, taken: this.input.taken });
    if (problems.length === 0) return { ok: true as const, value: parsed.value };
    return { ok: false as const, error: SWEEP_TEXT.notUsable(problems) };
  }
}
