/** Tests that are not run any more, by the counts of the runners. Pure. */
import type { CheckRun, TestCounts } from '../contracts/checks.ts';

export type FewerTests = { check: string; before: TestCounts; now?: TestCounts };

/** The counts of each check that has some. */
export const testsOf = (checks: readonly CheckRun[]): Record<string, TestCounts> =>
  Object.fromEntries(checks.flatMap(({ name, tests }) => (tests === undefined ? [] : [[name, tests]])));

/** Checks that ran fewer tests than before, or are not run at all. More skipped ones show as fewer that are run. */
export function fewerTests(before: Readonly<Record<string, TestCounts>>, checks: readonly CheckRun[]): FewerTests[] {
  return Object.entries(before).flatMap(([check, counts]) => {
    const ran = checks.find(({ name }) => name === check);
    if (ran === undefined) return [{ check, before: counts }];
    if (ran.tests === undefined || ran.tests.run >= counts.run) return [];
    return [{ check, before: counts, now: ran.tests }];
  });
}
