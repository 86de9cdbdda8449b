import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Allowance } from '../../../../src/activities/agent/model-gateway/allowance.ts';
import type { Limits } from '../../../../src/shared/contracts/agent.ts';
import type { Budget } from '../../../../src/shared/contracts/budget.ts';
import { NO_METRICS } from '../../../../src/shared/contracts/task.ts';

const LIMITS: Limits = { turns: 10, tokens: 1_000_000, minutes: 10 };
const allowance = (budget?: Budget, limits = LIMITS): Allowance => new Allowance({ limits, budget, used: NO_METRICS });
const used = (inputTokens: number, costUsd = 0) => ({ ...NO_METRICS, turns: 1, inputTokens, costUsd });

/** One call from its begin to its end. */
function call(of: Allowance, tokens: number, costUsd = 0): string | undefined {
  const begun = of.begin(tokens, 0);
  if (begun.kind === 'refused') return 'refused';
  of.end(begun.estimate, used(tokens, costUsd));
  return begun.warning;
}

test('it is warned once at 80 % of a limit, and refused at it', () => {
  const of = allowance();
  const said = Array.from({ length: 11 }, () => call(of, 10));
  expect(said.slice(0, 8)).toEqual(Array(8).fill(undefined));
  expect(said[8]).toContain('8 of at most 10 calls are used');
  expect(said[9]).toBeUndefined();
  expect(said[10]).toBe('refused');
  expect(of.reached).toBe('The limit of 10 calls is reached.');
});

test('a limit in dollars counts what earlier attempts have spent', () => {
  const of = new Allowance({
    limits: { ...LIMITS, costUsd: 1 },
    budget: undefined,
    used: { ...NO_METRICS, costUsd: 1 },
  });
  expect(call(of, 1)).toBe('refused');
  expect(of.reached).toBe('The limit of 1 USD is reached (1 used).');
});

test('calls at the same time hold their part of the budget', () => {
  const of = allowance({ tokens: 250 });
  const first = of.begin(100, 0);
  const second = of.begin(100, 0);
  expect([first.kind, second.kind]).toEqual(['begun', 'begun']);
  expect(of.begin(100, 0)).toEqual({ kind: 'refused', why: 'The budget of this work is spent.' });
});

test('a call that came to nothing gives its part back', () => {
  const of = allowance({ tokens: 150 });
  const first = of.begin(100, 0);
  if (first.kind === 'refused') throw new Error(first.why);
  of.end(first.estimate);
  expect(of.begin(100, 0).kind).toBe('begun');
});

test('one that has to hand off gets three more calls', () => {
  const of = allowance();
  call(of, 1);
  of.endSoon();
  expect([1, 2, 3, 4].map(() => call(of, 1))).toEqual([undefined, undefined, undefined, 'refused']);
  expect(of.reached).toBe('The people who run this want you to hand off now.');
});

test('whatever is asked, a budget is exceeded by no more than its estimates were too low', () => {
  const calls = fc.array(fc.record({ estimate: fc.nat(500), really: fc.nat(600) }), { maxLength: 60 });
  fc.assert(
    fc.property(fc.nat(5_000), calls, (tokens, all) => {
      const of = allowance({ tokens }, { ...LIMITS, turns: 1_000 });
      let tooLow = 0;
      for (const { estimate, really } of all) {
        const begun = of.begin(estimate, 0);
        if (begun.kind === 'refused') break;
        of.end(begun.estimate, used(really));
        tooLow = Math.max(tooLow, really - estimate);
      }
      expect(of.metrics.inputTokens).toBeLessThanOrEqual(tokens + Math.max(0, tooLow));
    }),
    { seed: 20_261_122 },
  );
});
