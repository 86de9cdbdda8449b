/** The ratio of two figures that were measured in pairs, and how sure it is. Pure. */
import jStat from 'jstat';

const CONFIDENCE = 0.95;

/** A ratio and the ends of its 95 % interval. */
export type RatioInterval = { ratio: number; low: number; high: number; pairs: number };

/**
 * The ratio of the second figure of each pair to the first, with its 95 % interval.
 *
 * The method is the paired t interval on log ratios: with d = ln(second ÷ first) of each of the n pairs, the ratio is
 * exp(mean d), the geometric mean of the pairs' ratios, and the interval is exp(mean d ± t · s ÷ √n), where s is the
 * standard deviation of d (n − 1) and t the quantile at 0.975 of Student's t distribution with n − 1 degrees of freedom.
 * What both runs of a pair share (a slow hour, a busy neighbour) cancels within the pair. Sources: NIST/SEMATECH
 * e-Handbook of Statistical Methods, 7.3.1.3 (paired observations); Georges, Buytaert and Eeckhout, "Statistically
 * Rigorous Java Performance Evaluation", OOPSLA 2007 (t intervals for few runs of a benchmark).
 *
 * Pairs are added until the interval is narrow, so the pairs also decide how many there are: the interval then covers
 * slightly less often than in 95 % of all comparisons (Chow and Robbins, "On the asymptotic theory of fixed-width
 * sequential confidence intervals", 1965). A minimum of five pairs keeps this small.
 *
 * @throws Error where there are fewer than two pairs, or a figure is not a positive number
 */
export function pairedRatio(pairs: readonly (readonly [first: number, second: number])[]): RatioInterval {
  if (pairs.length < 2) {
    throw new Error(`An interval needs at least two pairs; there are ${pairs.length}. Measure more pairs.`);
  }
  const logs = pairs.map(([first, second]) => {
    if (!(first > 0 && second > 0 && Number.isFinite(first) && Number.isFinite(second))) {
      throw new Error(
        `The figures ${first} and ${second} have no ratio: both must be positive. Measure with a larger load.`,
      );
    }
    return Math.log(second / first);
  });
  const mean = jStat.mean(logs);
  const t = jStat.studentt.inv(1 - (1 - CONFIDENCE) / 2, logs.length - 1);
  const half = (t * jStat.stdev(logs, true)) / Math.sqrt(logs.length);
  return {
    ratio: Math.exp(mean),
    low: Math.exp(mean - half),
    high: Math.exp(mean + half),
    pairs: logs.length,
  };
}

/** The wider half of an interval, as a share of its ratio: 0.02 is "± 2 %". */
export const halfWidth = ({ ratio, high }: RatioInterval): number => high / ratio - 1;

/** Whether a ratio of 1, no difference, lies within the interval. */
export const containsOne = ({ low, high }: RatioInterval): boolean => low <= 1 && high >= 1;

/** Which of the two runs first in a pair: AB, BA, AB …, so that a drift of the machine favours neither. */
export const firstOfPair = (index: number): 0 | 1 => (index % 2 === 0 ? 0 : 1);
