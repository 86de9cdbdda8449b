import { describe, expect, test } from 'vitest';
import {
  afterLostMs,
  isLostForGood,
  mayFix,
  nextSweepAt,
  type SweepView,
  wantsSweep,
} from '../../../src/shared/reconciler/times.ts';

const view = (more: Partial<SweepView> = {}): SweepView => ({
  mode: 'run',
  sweeps: 'auto',
  isOver: false,
  isFrozen: false,
  isMending: false,
  work: 0,
  ...more,
});
const green = { verdict: 'green', work: 3 } as const;
const red = { verdict: 'red', work: 3 } as const;

describe('a sweep is wanted', () => {
  test.each<[string, boolean, Partial<SweepView>]>([
    ['not before anything has landed', false, {}],
    ['when something has landed', true, { work: 1 }],
    ['not twice of the same work', false, { work: 3, last: green }],
    ['when more has landed since', true, { work: 4, last: green }],
    ['not where sweeps are off', false, { work: 4, last: green, sweeps: 'off' }],
    ['of a branch that is frozen, once its fixes have failed', true, { work: 3, last: red, isFrozen: true }],
    ['also where sweeps are off: nobody would thaw it', true, { sweeps: 'off', isFrozen: true }],
    ['not while its fixes are at work', false, { work: 3, last: red, isFrozen: true, isMending: true }],
    ['of more work, while fixes are at work', true, { work: 4, last: red, isFrozen: true, isMending: true }],
    ['at once where the run is there for it', true, { mode: 'reconcile' }],
    ['also where sweeps are off', true, { mode: 'reconcile', sweeps: 'off' }],
    ['not again before it has mended something', false, { mode: 'reconcile', work: 3, last: red }],
    ['not by a run that is over', false, { mode: 'reconcile', work: 4, isFrozen: true, isOver: true }],
  ])('%s: %s', (_, wanted, more) => {
    expect(wantsSweep(view(more))).toBe(wanted);
  });
});

describe('the next look at sweeps is', () => {
  const due = { dueAt: 900_000 };
  test.each<[string, number, Partial<SweepView>, { askedAt?: number; dueAt: number }]>([
    ['a minute after the one that runs was asked after', 70_000, { work: 1 }, { askedAt: 10_000, dueAt: 5 }],
    ['also by a run that is over', 70_000, { isOver: true }, { askedAt: 10_000, dueAt: 5 }],
    ['never before the first has been made due', Infinity, { work: 1 }, { dueAt: 0 }],
    ['when it is due', 900_000, { work: 4, last: green }, due],
    ['never while nothing has landed', Infinity, { work: 3, last: green }, due],
    ['never where there is nothing to check', Infinity, { work: 4, last: { verdict: 'none', work: 3 } }, due],
    ['at once when all fixes have ended', 0, { work: 4, last: red, isFrozen: true }, due],
    ['at once when fixes have failed and nothing has landed', 0, { work: 3, last: red, isFrozen: true }, due],
    ['when it is due while fixes are at work', 900_000, { work: 4, last: red, isMending: true }, due],
    ['never between landings of a run that only mends: its end sweeps', Infinity, { mode: 'reconcile', work: 4 }, due],
  ])('%s', (_, at, more, times) => {
    expect(nextSweepAt(view(more), times)).toBe(at);
  });
});

test('a run mends for three rounds, one that is there for it for ten', () => {
  expect([2, 3].map((rounds) => mayFix('run', rounds))).toEqual([true, false]);
  expect([9, 10].map((rounds) => mayFix('reconcile', rounds))).toEqual([true, false]);
});

test('a sweep that was lost is made again twice at once, and then when the next one is due', () => {
  expect([1, 2, 3].map((lost) => afterLostMs(lost, 600_000))).toEqual([3_000, 3_000, 600_000]);
  expect([2, 3].map(isLostForGood)).toEqual([false, true]);
});
