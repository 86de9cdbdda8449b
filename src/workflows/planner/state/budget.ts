/**
 * A planner's part of the budget: who gets how much of it, what was used, and when people and the model are told.
 * Plain JSON.
 */
import type { Budget, Spent } from '../../../shared/contracts/budget.ts';
import { addMetrics, type AgentMetrics, NO_METRICS, type Used } from '../../../shared/contracts/task.ts';
import {
  covers,
  freeOf,
  type Ledger,
  newLedger,
  reduced,
  release,
  reserve,
  shareOf,
  spend,
  spendAtMost,
  spentOf,
  spentPart,
} from '../../../shared/planner/budget.ts';
import { RUN_TEXT } from '../../../shared/planner/text.ts';
import type { News } from './news.ts';

/** From here on the planner is told. */
const WARN_PART = 0.8;
/** Below this part of the run's money nothing is begun. */
const LEAST_PART = 0.01;
/** A brief and the tools' schemas, in tokens. */
const BRIEF_TOKENS = 8_000;
/** Sums of dollars are not exact. */
const INEXACT_USD = 1e-6;
const PLANNER = '(planner)';
const SWEEP = '(sweep)';

export type CarriedBudget = { ledger: Ledger; warned: boolean };

export type BudgetOptions = {
  total: Budget;
  /** Of one call, in tokens. */
  maxOutputTokens: number;
  news: News;
};

export class PlannerBudget {
  private ledger: Ledger;
  private warned: boolean;
  private used: AgentMetrics;
  private readonly maxOutputTokens: number;
  private readonly news: News;

  constructor({ total, maxOutputTokens, news }: BudgetOptions, carried?: CarriedBudget, used = NO_METRICS) {
    this.ledger = carried?.ledger ?? newLedger(total);
    this.warned = carried?.warned ?? false;
    this.used = used;
    this.maxOutputTokens = maxOutputTokens;
    this.news = news;
  }

  toJSON(): CarriedBudget {
    return { ledger: this.ledger, warned: this.warned };
  }

  /** What was measured, of all that this planner has started, with its own rounds. */
  get metrics(): AgentMetrics {
    return this.used;
  }

  /** What may have been spent besides what was measured, at most. */
  get estimated(): Budget | undefined {
    const besides = reduced(this.ledger.spent, spentOf(this.used));
    const { tokens = 0, usd = 0 } = besides;
    return tokens > 0 || usd > INEXACT_USD ? besides : undefined;
  }

  /** The total and what of it is spent; undefined where nothing is limited. */
  get limitedTo(): { total: Budget; spent: Spent } | undefined {
    return this.isLimited ? this.seen : undefined;
  }

  get seen(): { total: Budget; spent: Spent } {
    return { total: this.ledger.total, spent: this.ledger.spent };
  }

  get isLimited(): boolean {
    return this.ledger.total.tokens !== undefined || this.ledger.total.usd !== undefined;
  }

  /** With less nothing is begun: a call of the longest answer, and one to hand off. */
  private get least(): Spent {
    return {
      tokens: 2 * (this.maxOutputTokens + BRIEF_TOKENS),
      usd: LEAST_PART * (this.ledger.total.usd ?? 0),
    };
  }

  /** Whether anything more can be begun with what is free now. */
  get isSpent(): boolean {
    return !covers(freeOf(this.ledger), this.least);
  }

  /** Reserves equal shares for these holders, first first; those for whom nothing is left are left out. */
  divide(holders: readonly string[]): string[] {
    return holders.filter((holder, i) => {
      // One more part stays free, for the planner.
      const share = shareOf(this.ledger, holders.length - i + 1, this.least);
      if (share !== null) this.ledger = reserve(this.ledger, holder, share);
      return share !== null;
    });
  }

  /** What a holder's reservation has left; undefined where nothing is limited. */
  left(holder: string): Budget | undefined {
    return this.isLimited ? (this.ledger.reserved[holder] ?? { tokens: 0, usd: 0 }) : undefined;
  }

  /**
   * The planner's share for one round: half of what is free while others work, else all; null when too little is free
   * for one, undefined where nothing is limited.
   */
  beginRound(alone: boolean): Budget | null | undefined {
    return this.isLimited ? this.reserved(PLANNER, shareOf(this.ledger, alone ? 1 : 2, this.least)) : undefined;
  }

  /** What a round of planning has cost. */
  roundEnded(used: Used): void {
    this.spent(PLANNER, used);
    this.ended(PLANNER);
  }

  /** The share of one sweep's search for fixes, a part of what is free; null and undefined as above. */
  beginSweep(): Budget | null | undefined {
    if (!this.isLimited) return undefined;
    return this.reserved(SWEEP, shareOf(this.ledger, 4, this.least) ?? shareOf(this.ledger, 1, this.least));
  }

  sweepEnded(metrics: AgentMetrics | 'unknown'): void {
    if (metrics !== 'unknown') this.spent(SWEEP, { metrics });
    this.ended(SWEEP, metrics === 'unknown' ? 'unknown' : 'free');
  }

  spent(holder: string, { metrics, estimated }: Used): void {
    this.ledger = spend(this.ledger, holder, spentOf(metrics));
    if (estimated !== undefined) this.ledger = spendAtMost(this.ledger, holder, estimated);
    this.used = addMetrics(this.used, metrics);
    this.warn();
  }

  /** `unknown`: nobody can tell what it cost, so that its whole reservation counts as spent. */
  ended(holder: string, how: 'free' | 'unknown' = 'free'): void {
    this.ledger = release(this.ledger, holder, how);
  }

  /** A person's new total, in the dimensions that are named. */
  limit(total: Budget): void {
    this.ledger = { ...this.ledger, total: { ...this.ledger.total, ...total } };
    this.warned = spentPart(this.ledger) >= WARN_PART;
  }

  private reserved(holder: string, share: Budget | null): Budget | null {
    if (share !== null) this.ledger = reserve(this.ledger, holder, share);
    return share;
  }

  /** Tells the model once, when most has been spent. */
  private warn(): void {
    if (this.warned || !this.isLimited || spentPart(this.ledger) < WARN_PART) return;
    this.warned = true;
    this.news.trouble(RUN_TEXT.budgetNear(this.ledger.total, this.ledger.spent));
  }
}
