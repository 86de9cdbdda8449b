/**
 * Budgets by reservation: a run's total is divided down its tree, and who holds no reservation spends nothing. Pure
 * functions of values; a ledger is plain JSON. Invariants:
 * 1. What is spent and what is reserved together never exceed the total, but by what a call in flight took beyond
 *    its estimate.
 * 2. A holder's reservation ends with what it spent; what it did not spend is free again.
 * 3. What nobody can tell the cost of counts as spent at the most that it can have been: in full, where nothing is known.
 */
import type { Budget, Spent } from '../contracts/budget.ts';
import { addMetrics, type AgentMetrics, type Used } from '../contracts/task.ts';
import { FailureType, terminal } from '../base/failures.ts';

export type Ledger = { total: Budget; spent: Spent; reserved: Record<string, Budget> };

const DIMENSIONS = ['tokens', 'usd'] as const;

export const newLedger = (total: Budget): Ledger => ({ total, spent: { tokens: 0, usd: 0 }, reserved: {} });

export const spentOf = (metrics: Pick<AgentMetrics, 'inputTokens' | 'outputTokens' | 'costUsd'>): Spent => ({
  tokens: metrics.inputTokens + metrics.outputTokens,
  usd: metrics.costUsd,
});

/** What is neither spent nor reserved; below nothing is nothing. A dimension without a limit is absent. */
export function freeOf({ total, spent, reserved }: Ledger): Budget {
  const free: Budget = {};
  for (const each of DIMENSIONS) {
    const limit = total[each];
    if (limit === undefined) continue;
    const held = Object.values(reserved).reduce((sum, budget) => sum + (budget[each] ?? 0), 0);
    free[each] = Math.max(0, limit - spent[each] - held);
  }
  return free;
}

/** Whether `budget` has at least `least` of each of its limited dimensions. */
export const covers = (budget: Budget, least: Spent): boolean =>
  DIMENSIONS.every((each) => budget[each] === undefined || budget[each] >= least[each]);

/**
 * What one of `slots` holders gets of what is free, at most `most` of it; null when that would be less than `least`,
 * with which nothing can be done. Where equal shares are too small, fewer holders get a share that is enough.
 */
export function shareOf(ledger: Ledger, slots: number, least: Spent, most: Budget = {}): Budget | null {
  const free = freeOf(ledger);
  if (!covers(free, least)) return null;
  const share: Budget = {};
  for (const each of DIMENSIONS) {
    const left = free[each];
    if (left === undefined) continue;
    const fair = left / Math.max(1, slots);
    share[each] = Math.max(least[each], Math.min(fair, most[each] ?? Infinity));
    if (each === 'tokens') share[each] = Math.floor(share[each]);
  }
  return covers(share, least) ? share : null;
}

/** Throws when the share is not free: who starts an agent has to show a reservation. */
export function reserve(ledger: Ledger, holder: string, share: Budget): Ledger {
  const free = freeOf({ ...ledger, reserved: without(ledger.reserved, holder) });
  for (const each of DIMENSIONS) {
    const left = free[each];
    // Sums of dollars are not exact.
    if (left !== undefined && (share[each] ?? Infinity) > left + 1e-9)
      throw terminal(FailureType.Invariant, `"${holder}" cannot reserve ${share[each]} ${each}: ${left} are free`);
  }
  return { ...ledger, reserved: { ...ledger.reserved, [holder]: share } };
}

/** Counts what a holder has spent against its reservation, which goes on with the rest. */
export function spend(ledger: Ledger, holder: string | null, spent: Spent): Ledger {
  const { reserved } = ledger;
  const held = holder === null ? undefined : reserved[holder];
  const left: Budget = {};
  for (const each of DIMENSIONS) if (held?.[each] !== undefined) left[each] = Math.max(0, held[each] - spent[each]);
  return {
    ...ledger,
    spent: { tokens: ledger.spent.tokens + spent.tokens, usd: ledger.spent.usd + spent.usd },
    reserved: holder === null || held === undefined ? reserved : { ...reserved, [holder]: left },
  };
}

/**
 * Counts what a holder may have spent besides what was measured, at most all that it has left, for no call begins that
 * does not fit into that. What `most` does not name counts as all of it; dollars at the ledger's rate, where there is
 * one and the tokens are named.
 */
export function spendAtMost(ledger: Ledger, holder: string, most: Budget): Ledger {
  const { spent, reserved } = ledger;
  const held = reserved[holder] ?? {};
  const rate = spent.tokens === 0 || most.tokens === undefined ? undefined : spent.usd / spent.tokens;
  const bound: Budget = { ...most, usd: most.usd ?? (rate === undefined ? undefined : rate * (most.tokens ?? 0)) };
  const count = (each: (typeof DIMENSIONS)[number]): number =>
    bound[each] === undefined ? (held[each] ?? 0) : Math.min(bound[each], held[each] ?? Infinity);
  return spend(ledger, holder, { tokens: count('tokens'), usd: count('usd') });
}

/** Ends a reservation: what is left of it is free, or counts as spent where nobody can tell what was spent. */
export function release(ledger: Ledger, holder: string, how: 'free' | 'unknown'): Ledger {
  const counted = how === 'unknown' ? spendAtMost(ledger, holder, {}) : ledger;
  return { ...counted, reserved: without(counted.reserved, holder) };
}

/** The use of two agents, or of one at two times. */
export function addUsed(a: Used, b: Used): Used {
  const metrics = addMetrics(a.metrics, b.metrics);
  const estimated = a.estimated && b.estimated ? sumOf(a.estimated, b.estimated) : (a.estimated ?? b.estimated);
  return estimated === undefined ? { metrics } : { metrics, estimated };
}

/** What is not known of one is not known of both. */
function sumOf(a: Budget, b: Budget): Budget {
  const sum: Budget = {};
  for (const each of DIMENSIONS) if (a[each] !== undefined && b[each] !== undefined) sum[each] = a[each] + b[each];
  return sum;
}

/** What an agent leaves of its budget to the next one: nothing of what it may have used all of. */
export function leftBy({ metrics, estimated }: Used, budget: Budget): Budget {
  const left = reduced(budget, spentOf(metrics));
  if (estimated === undefined) return left;
  return reduced(left, { tokens: estimated.tokens ?? Infinity, usd: estimated.usd ?? Infinity });
}

/** The larger part of the total that is spent: 0.8 is 80 %. */
export function spentPart({ total, spent }: Ledger): number {
  return Math.max(
    0,
    ...DIMENSIONS.map((each) => {
      const limit = total[each];
      if (limit === undefined) return 0;
      return limit === 0 ? 1 : spent[each] / limit;
    }),
  );
}

/** What a budget has left, in each limited dimension. */
export function reduced(budget: Budget, spent: Spent): Budget {
  const left: Budget = {};
  for (const each of DIMENSIONS) if (budget[each] !== undefined) left[each] = Math.max(0, budget[each] - spent[each]);
  return left;
}

/** `budget` and `more` of each limited dimension. */
export function extended(budget: Budget, more: Spent): Budget {
  const sum: Budget = {};
  for (const each of DIMENSIONS) if (budget[each] !== undefined) sum[each] = budget[each] + more[each];
  return sum;
}

/**
 * Whether a call may be made with what is left: `free`; `last` when no second one of the same size would fit, so
 * that this one has to close; `none` when it might not fit itself.
 */
export function roomFor(budget: Budget, spent: Spent, call: Spent): 'free' | 'last' | 'none' {
  const fits = (times: number): boolean =>
    DIMENSIONS.every((each) => budget[each] === undefined || spent[each] + times * call[each] <= budget[each]);
  return fits(2) ? 'free' : fits(1) ? 'last' : 'none';
}

/**
 * The most that a call is taken to cost: its input, all of the answer that it may give, and dollars at the rate of
 * the calls before it (nothing is known of the first).
 */
export function callEstimate(input: number, maxOutputTokens: number, before: Spent): Spent {
  const tokens = input + maxOutputTokens;
  return { tokens, usd: before.tokens === 0 ? 0 : (before.usd / before.tokens) * tokens };
}

function without(reserved: Ledger['reserved'], holder: string): Ledger['reserved'] {
  const { [holder]: _, ...rest } = reserved;
  return rest;
}
