import fc from 'fast-check';
import { expect, test } from 'vitest';
import { containsOne, firstOfPair, halfWidth, pairedRatio } from '../../../bench/compare/statistics.ts';

/** Hours of sleep gained by ten patients with two drugs (Student 1908), the example of paired data in R's `t.test`. */
const SLEEP: readonly (readonly [number, number])[] = [
  [0.7, 1.9],
  [-1.6, 0.8],
  [-0.2, 1.1],
  [-1.2, 0.1],
  [-0.1, -0.1],
  [3.4, 4.4],
  [3.7, 5.5],
  [0.8, 1.6],
  [0, 4.6],
  [2, 3.4],
];

test('on log ratios it is the paired t interval of R: Student’s sleep data', () => {
  const found = pairedRatio(SLEEP.map(([a, b]) => [Math.exp(a), Math.exp(b)] as const));
  expect(Math.log(found.ratio)).toBeCloseTo(1.58, 10);
  // t.test(extra ~ group, data = sleep, paired = TRUE): 95 % interval 0.7001142 to 2.4598858.
  expect(Math.log(found.low)).toBeCloseTo(0.7001142, 6);
  expect(Math.log(found.high)).toBeCloseTo(2.4598858, 6);
  expect(found.pairs).toBe(10);
});

test.each([
  [2, 12.7062],
  [5, 2.7764],
  [6, 2.5706],
  [10, 2.2622],
  [20, 2.093],
])('%i pairs are judged by the quantile of the t table, %f', (n, t) => {
  // Deviations of ±1 %, or 0 for the last of an odd number.
  const logs = Array.from({ length: n }, (_, i) => (n % 2 === 1 && i === n - 1 ? 0 : i % 2 === 0 ? 0.01 : -0.01));
  const s = Math.sqrt((0.01 ** 2 * (n % 2 === 1 ? n - 1 : n)) / (n - 1));
  const found = pairedRatio(logs.map((log) => [50, 50 * Math.exp(log)] as const));
  expect(found.ratio).toBeCloseTo(1, 12);
  expect(Math.log(found.high)).toBeCloseTo((t * s) / Math.sqrt(n), 5);
  expect(halfWidth(found)).toBeCloseTo(Math.exp((t * s) / Math.sqrt(n)) - 1, 5);
  expect(containsOne(found)).toBe(true);
});

const figure = fc.double({ min: 0.01, max: 1e4, noNaN: true });
const pairsOf = (min: number) => fc.array(fc.tuple(figure, figure), { minLength: min, maxLength: 20 });

test('the other way round it is the inverse', () => {
  fc.assert(
    fc.property(pairsOf(2), (pairs) => {
      const there = pairedRatio(pairs);
      const back = pairedRatio(pairs.map(([a, b]) => [b, a] as const));
      expect(Math.log(back.ratio)).toBeCloseTo(-Math.log(there.ratio), 8);
      expect(Math.log(back.low)).toBeCloseTo(-Math.log(there.high), 8);
    }),
  );
});

test('what both runs of a pair share does not count', () => {
  fc.assert(
    fc.property(
      pairsOf(2),
      fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 20 }),
      (pairs, slow) => {
        const quiet = pairedRatio(pairs);
        const busy = pairedRatio(pairs.map(([a, b], i) => [a * (slow[i] ?? 1), b * (slow[i] ?? 1)] as const));
        expect(Math.log(busy.low)).toBeCloseTo(Math.log(quiet.low), 6);
        expect(Math.log(busy.high)).toBeCloseTo(Math.log(quiet.high), 6);
      },
    ),
  );
});

test('a steady drift of the machine favours neither, as the order within the pairs alternates', () => {
  // The runs one after the other; each is 1 % slower than the one before, and B costs 10 % more than A.
  let run = 0;
  const pairs = Array.from({ length: 6 }, (_, i) => {
    const at = () => 1.01 ** run++;
    const [first, second] = [at(), at()];
    return firstOfPair(i) === 0 ? ([first, 1.1 * second] as const) : ([second, 1.1 * first] as const);
  });
  expect(pairedRatio(pairs).ratio).toBeCloseTo(1.1, 10);
});

test.each([
  [[[1, 2]], /at least two pairs; there are 1/],
  [[], /there are 0/],
  [
    [
      [1, 2],
      [0, 2],
    ],
    /0 and 2 have no ratio/,
  ],
  [
    [
      [1, 2],
      [1, Number.NaN],
    ],
    /1 and NaN have no ratio/,
  ],
] as const)('no ratio of %j', (pairs: readonly (readonly [number, number])[], message) => {
  expect(() => pairedRatio(pairs)).toThrow(message);
});
