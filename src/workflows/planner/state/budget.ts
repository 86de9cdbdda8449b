/** A planner's part of the budget: who gets how much of it, and when people and the model are told. Plain JSON. */
import type { Budget, Spent } from '../../../shared/contracts/budget.ts';
import type { AgentMetrics, Used } from '../../../shared/contracts/task.ts';
import {
  covers,
  freeOf,
  type Ledger,
  newLedger,
  release,
  reserve,
  shareOf,
  spend,
  spendAtMost,
  spentOf,
  spentPart,
} from '../../../shared/base/budget.ts';

/** From here on the planner is told. */
const WARN_PART = 0.8;
/** Below this part of the run's money nothing is begun. */
const LEAST_PART = 0.01;
/** A brief and the tools' schemas, in tokens. */
const BRIEF_TOKENS = 8_000;
const PLANNER = '(planner)';
const SWEEP = '(sweep)';

export type CarriedBudget = { ledger: Ledger; warned: boolean };

export class PlannerBudget {
  private ledger: Ledger;
  private warned: boolean;
  private readonly maxOutputTokens: number;

  constructor(total: Budget, maxOutputTokens: number, carried?: CarriedBudget) {
    this.ledger = carried?.ledger ?? newLedger(total);
    this.warned = carried?.warned ?? false;
    this.maxOutputTokens = maxOutputTokens;
  }

  toJSON(): CarriedBudget {
    return { ledger: this.ledger, warned: this.warned };
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

  /** The planner's share for one round: half of what is free while others work, else all. */
  begin(alone: boolean): Budget | null {
    const share = shareOf(this.ledger, alone ? 1 : 2, this.least);
    if (share !== null) this.ledger = reserve(this.ledger, PLANNER, share);
    return share;
  }

  /** The share of one sweep's search for fixes: a part of what is free; null when too little is. */
  sweep(): Budget | null {
    const share = shareOf(this.ledger, 4, this.least) ?? shareOf(this.ledger, 1, this.least);
    if (share !== null) this.ledger = reserve(this.ledger, SWEEP, share);
    return share;
  }

  swept(metrics: AgentMetrics | 'unknown'): void {
    if (metrics !== 'unknown') this.ledger = spend(this.ledger, SWEEP, spentOf(metrics));
    this.ledger = release(this.ledger, SWEEP, metrics === 'unknown' ? 'unknown' : 'free');
  }

  planned(used: Used): void {
    this.spent(PLANNER, used);
    this.ended(PLANNER);
  }

  spent(holder: string, { metrics, estimated }: Used): void {
    this.ledger = spend(this.ledger, holder, spentOf(metrics));
    if (estimated !== undefined) this.ledger = spendAtMost(this.ledger, holder, estimated);
  }

  /** `unknown`: nobody can tell what it cost, so that its whole reservation counts as spent. */
  ended(holder: string, how: 'free' | 'unknown' = 'free'): void {
    this.ledger = release(this.ledger, holder, how);
  }

  /** True once, when the part of which the planner is told has been spent. */
  warns(): boolean {
    if (this.warned || !this.isLimited || spentPart(this.ledger) < WARN_PART) return false;
    this.warned = true;
    return true;
  }

  /** A person's new total, in the dimensions that are named. */
  limit(total: Budget): void {
    this.ledger = { ...this.ledger, total: { ...this.ledger.total, ...total } };
    this.warned = spentPart(this.ledger) >= WARN_PART;
  }
}
