import { describe, expect, test } from 'vitest';
import type { CheckRun } from '../../../src/shared/contracts/checks.ts';
import { failureReport } from '../../../src/shared/merge-queue/text.ts';

const run = (more: Partial<CheckRun>): CheckRun => ({
  name: 'types',
  command: 'npx tsc',
  status: 'failed',
  exitCode: 2,
  durationMs: 1,
  errors: [],
  tail: '',
  ...more,
});
const error = (file: string) => ({ check: 'types', file, line: 3, code: 'TS2322', message: 'no', signature: file });

describe('what is told of checks that failed', () => {
  test('names the check, then its errors, then the end of its output; what passed is left out', () => {
    const report = failureReport({
      checks: [
        run({ name: 'lint', status: 'passed', tail: 'fine' }),
        run({ errors: [error('src/a.ts')], tail: 'Found 1 error.' }),
      ],
    });
    expect(report).toBe('types (npx tsc) failed with exit code 2:\n- src/a.ts:3: TS2322 no\nFound 1 error.');
  });

  test('a check that ran out of time is not said to have ended', () => {
    expect(failureReport({ checks: [run({ status: 'timed-out' })] })).toContain('types (npx tsc) ran out of time');
  });

  test('is short however much failed, and shows the first error however long the command is', () => {
    const errors = Array.from({ length: 30 }, (_, i) => error(`src/${i}.ts`));
    const checks = Array.from({ length: 20 }, () =>
      run({ command: 'x'.repeat(2_000), errors, tail: 'y'.repeat(4_000) }),
    );
    const report = failureReport({ checks });
    expect(report.length).toBeLessThanOrEqual(3_000);
    expect(report.slice(0, 400)).toContain('src/0.ts:3');
  });
});
