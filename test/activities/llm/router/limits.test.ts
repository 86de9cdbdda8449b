import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  availableAt,
  type Bucket,
  fullBucket,
  grown,
  levelAt,
  shrunk,
  take,
  throttleMs,
} from '../../../../src/activities/llm/router/limits.ts';

test('a bucket gives a minute’s worth at once, then what a minute brings', () => {
  let bucket: Bucket = fullBucket(60, 0);
  for (let i = 0; i < 60; i++) bucket = take(bucket, 1, 0);
  expect(availableAt(bucket, 1, 0)).toBe(1_000);
  expect(availableAt(bucket, 10, 5_000)).toBe(10_000);
  expect(levelAt(bucket, 600_000)).toBe(60);
});

test('what was used beyond what was thought is waited for by the next, what was not used is given back', () => {
  const reserved = take(fullBucket(1_000, 0), 600, 0);
  expect(availableAt(take(reserved, 900 - 600, 0), 400, 0)).toBe(18_000);
  expect(availableAt(take(reserved, 100 - 600, 0), 900, 0)).toBe(0);
});

test('more than a minute’s worth is had when the bucket is full, not never', () => {
  expect(availableAt(fullBucket(100, 0), 5_000, 0)).toBe(0);
  expect(availableAt(take(fullBucket(100, 0), 50, 0), 5_000, 0)).toBe(30_000);
});

test('whoever waits as long as he is told finds it there, and no minute passes more than two minutes’ worth', () => {
  const asks = fc.array(fc.record({ amount: fc.integer({ min: 1, max: 50 }), gap: fc.nat(20_000) }), { maxLength: 60 });
  fc.assert(
    fc.property(fc.integer({ min: 50, max: 500 }), asks, (perMinute, list) => {
      let bucket = fullBucket(perMinute, 0);
      let now = 0;
      const taken: { at: number; amount: number }[] = [];
      for (const { amount, gap } of list) {
        now = availableAt(bucket, amount, now + gap);
        expect(levelAt(bucket, now)).toBeGreaterThanOrEqual(amount - 1e-6);
        bucket = take(bucket, amount, now);
        taken.push({ at: now, amount });
      }
      for (const { at } of taken) {
        const inMinute = taken.filter((each) => each.at >= at && each.at < at + 60_000);
        expect(inMinute.reduce((sum, each) => sum + each.amount, 0)).toBeLessThanOrEqual(2 * perMinute + 1e-6);
      }
    }),
  );
});

test.each<[number, number | undefined, number]>([
  [0, undefined, 1_000],
  [1, undefined, 2_000],
  [9, undefined, 30_000],
  [0, 7_000, 7_000],
  [0, 0, 250],
  [2, 0, 250],
  [3, 0, 8_000],
  [9, 600_000, 600_000],
])('after %i refusals in a row and Retry-After %s ms the wait is %i ms', (inARow, retryAfter, expected) => {
  expect(throttleMs(inARow, retryAfter)).toBe(expected);
});

test('the window halves, never below one call, and grows back by a tenth in a round', () => {
  expect([shrunk(100), shrunk(3), shrunk(1), shrunk(0)]).toEqual([50, 1, 1, 1]);
  let window = 10;
  for (let answers = 0; answers < 10; answers++) window = grown(window);
  expect(window).toBeCloseTo(11, 1);
  expect(grown(1)).toBe(2);
});
