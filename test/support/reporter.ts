/** Ends a run with the plain line `N passed, N failed`, or writes the counts to a file for the gates to add up. */
import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule, TestRunEndReason } from 'vitest/node';
import { closingLine, COUNTS_FILE_VARIABLE, type Counts } from '../../infra/gates/counts.ts';

export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[], reason: TestRunEndReason): void {
    const counts = count(modules);
    counts.failed += unhandled.length;
    if (reason !== 'passed' && counts.failed === 0) counts.failed = 1;
    const file = process.env[COUNTS_FILE_VARIABLE];
    if (file === undefined) process.stdout.write(`\n${closingLine(counts)}\n`);
    else writeFileSync(file, JSON.stringify(counts));
  }
}

/** A file that could not be loaded, or whose hooks failed, has no failed test: it counts as one. */
function count(modules: readonly TestModule[]): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const module of modules) {
    let failedHere = 0;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') counts.passed++;
      else if (state === 'failed') failedHere++;
      else counts.skipped++;
    }
    if (failedHere === 0 && module.state() === 'failed') failedHere = 1;
    counts.failed += failedHere;
  }
  return counts;
}
