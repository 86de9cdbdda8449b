import fc from 'fast-check';
import { expect, test } from 'vitest';
import { expectedMs, type Latency, observe, penalise } from '../../../../src/activities/llm/router/latency.ts';

const answer = (firstTokenMs: number, msPerToken: number, outputTokens: number) => ({
  firstTokenMs,
  durationMs: firstTokenMs + msPerToken * outputTokens,
  outputTokens,
});
const observeAll = (answers: ReturnType<typeof answer>[]): Latency =>
  answers.reduce<Latency | undefined>(observe, undefined) as Latency;

test('a long answer makes no slow endpoint: time to the first token and rate are told apart', () => {
  const short = observeAll([answer(500, 10, 20), answer(500, 10, 20)]);
  const long = observeAll([answer(500, 10, 8_000), answer(500, 10, 3_000)]);
  expect(expectedMs(short)).toBeCloseTo(500 + 300 * 10, 6);
  expect(expectedMs(long)).toBeCloseTo(expectedMs(short), 6);
});

test('the newest answers count most: a change of speed is known after some ten of them', () => {
  const fast = Array.from({ length: 50 }, () => answer(100, 1, 100));
  const slow = Array.from({ length: 12 }, () => answer(2_000, 20, 100));
  const before = expectedMs(observeAll(fast));
  const after = expectedMs(observeAll([...fast, ...slow]));
  expect(after / before).toBeGreaterThan(18);
});

test('a call that came to nothing never makes an endpoint look faster', () => {
  const known = fc.record({ first: fc.integer({ min: 1, max: 100_000 }), rate: fc.integer({ min: 0, max: 1_000 }) });
  fc.assert(
    fc.property(known, fc.nat(1_000_000), ({ first, rate }, ms) => {
      const before = observe(undefined, answer(first, rate, 50));
      expect(expectedMs(penalise(before, ms))).toBeGreaterThanOrEqual(expectedMs(before));
    }),
  );
});

test('a penalty alone is no answer, and the first answer takes its place', () => {
  const penalty = penalise(undefined, 30_000);
  expect(penalty.answers).toBe(0);
  expect(expectedMs(penalty)).toBe(30_000);
  expect(expectedMs(observe(penalty, answer(100, 1, 10)))).toBeCloseTo(400, 6);
});
