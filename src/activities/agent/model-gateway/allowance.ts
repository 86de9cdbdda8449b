/** What an external agent may still ask of models, and what it has used. Pure. */
import type { Limits } from '../../../shared/contracts/agent.ts';
import type { Budget, Spent } from '../../../shared/contracts/budget.ts';
import { addMetrics, type AgentMetrics } from '../../../shared/contracts/task.ts';
import { callEstimate, roomFor, spentOf } from '../../../shared/planner/budget.ts';
import { LOOP_TEXT } from '../../../shared/agent/text.ts';

/** Part of a limit, after which it is told once to come to an end; the same as for our own agents. */
const WARN_AT = 0.8;
/** Calls that it gets to come to its end in, once it was told to. */
const CALLS_TO_END = 3;
const NOTHING: Spent = { tokens: 0, usd: 0 };

export class Allowance {
  metrics: AgentMetrics;
  /** Which limit has been met, as a sentence. */
  reached: string | undefined;
  private readonly limits: Limits;
  private readonly budget: Budget | undefined;
  /** Of calls that are not answered yet. */
  private flying = NOTHING;
  private warned = false;
  private callsToEnd: number | undefined;

  constructor(options: { limits: Limits; budget: Budget | undefined; used: AgentMetrics }) {
    this.limits = options.limits;
    this.budget = options.budget;
    this.metrics = options.used;
  }

  /** What the calls may cost that are not answered yet; absent: there are none. Of the first, nobody knows the dollars. */
  get unanswered(): Budget | undefined {
    const { tokens, usd } = this.flying;
    if (tokens === 0) return undefined;
    return spentOf(this.metrics).tokens === 0 ? { tokens } : { tokens, usd };
  }

  /** A person wants it to hand off: a few more calls, then none. */
  endSoon(): void {
    this.callsToEnd ??= CALLS_TO_END;
  }

  /**
   * Lets a call through, estimated by its input's tokens. `refused`: why not, for good. `warning`: to be told to it.
   * What it gives must be ended by `end`.
   */
  begin(
    inputTokens: number,
    maxOutputTokens: number,
  ): { kind: 'refused'; why: string } | { kind: 'begun'; estimate: Spent; warning: string | undefined } {
    const estimate = callEstimate(inputTokens, maxOutputTokens, spentOf(this.metrics));
    this.reached ??= this.limitReached() ?? this.budgetSpent(estimate);
    if (this.reached !== undefined) return { kind: 'refused', why: this.reached };
    if (this.callsToEnd !== undefined) this.callsToEnd -= 1;
    this.flying = plus(this.flying, estimate, 1);
    return { kind: 'begun', estimate, warning: this.warning(estimate) };
  }

  /** `used` is what an answer cost; absent: there was none. */
  end(estimate: Spent, used?: AgentMetrics): void {
    this.flying = plus(this.flying, estimate, -1);
    if (used !== undefined) this.metrics = addMetrics(this.metrics, used);
  }

  private uses(): { what: string; used: number; limit: number }[] {
    const { turns, inputTokens, outputTokens, costUsd } = this.metrics;
    const { limits } = this;
    return [
      { what: 'calls', used: turns, limit: limits.turns },
      { what: 'tokens', used: inputTokens + outputTokens, limit: limits.tokens },
      ...(limits.costUsd === undefined ? [] : [{ what: 'USD', used: costUsd, limit: limits.costUsd }]),
    ];
  }

  private limitReached(): string | undefined {
    const reached = this.uses().find(({ used, limit }) => used >= limit);
    if (reached !== undefined) return LOOP_TEXT.limitReached(reached);
    return this.callsToEnd !== undefined && this.callsToEnd <= 0 ? LOOP_TEXT.handOffNow : undefined;
  }

  private budgetSpent(estimate: Spent): string | undefined {
    return this.room(estimate) === 'none' ? LOOP_TEXT.budgetSpent : undefined;
  }

  private room(estimate: Spent): ReturnType<typeof roomFor> {
    if (this.budget === undefined) return 'free';
    return roomFor(this.budget, plus(spentOf(this.metrics), this.flying, 1), estimate);
  }

  private warning(estimate: Spent): string | undefined {
    if (this.warned) return undefined;
    const near = this.uses().find(({ used, limit }) => used >= WARN_AT * limit);
    // Its own estimate flies already: two more of its size are wanted.
    const warning =
      near !== undefined
        ? LOOP_TEXT.externalNear(near)
        : this.room(estimate) === 'free'
          ? undefined
          : LOOP_TEXT.externalLast(LOOP_TEXT.budgetNearlySpent);
    this.warned = warning !== undefined;
    return warning;
  }
}

const plus = (a: Spent, b: Spent, times: 1 | -1): Spent => ({
  tokens: Math.max(0, a.tokens + times * b.tokens),
  usd: Math.max(0, a.usd + times * b.usd),
});
