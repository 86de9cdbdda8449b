import { expect, test } from 'vitest';
import { formatCount, formatDuration, formatUsd } from '../../src/dashboard/format.ts';
import { renderReport } from '../../src/dashboard/report.ts';
import type { RunReport } from '../../src/shared/contracts/run.ts';

const report: RunReport = {
  run: 'r1',
  status: 'incomplete',
  reason: 'one task failed',
  repo: "/srv/it's.git",
  target: 'main',
  base: 'a'.repeat(40),
  tip: 'b'.repeat(40),
  tasks: [
    {
      id: 'one',
      description: 'Do one',
      status: 'complete',
      branch: 'landed',
      attempts: 1,
      conflicts: 1,
      commit: 'c'.repeat(40),
    },
    {
      id: 'two',
      description: 'Do two',
      status: 'failed',
      branch: 'none',
      attempts: 2,
      conflicts: 0,
      ref: 'refs/agentswarm/runs/r1/two.2',
      reason: 'tests fail',
    },
  ],
  landed: 1,
  replans: 2,
  retries: 1,
  conflicts: 1,
  peakParallel: 6,
  inputTokens: 1_234_567,
  cachedInputTokens: 1_000,
  outputTokens: 999,
  costUsd: 12.3456,
  startedAt: 0,
  endedAt: 3_725_000,
  notes: ['main is checked out in /srv/x'],
  unsafe: false,
};

test('the report has the tasks with their commits, the figures, and where to look', () => {
  expect(renderReport(report, { uiLink: 'http://ui/r1' })).toBe(`# Run r1: incomplete: not all work landed

Reason: one task failed

## Tasks

- one: complete, landed cccccccccccc, 1 conflict: Do one
- two: failed, not landed; its work is kept at refs/agentswarm/runs/r1/two.2, 2 attempts: Do two (tests fail)

## Numbers

- 1 of 2 tasks landed
- replans 2, retries 1, conflicts 1, at most 6 tasks at the same time
- tokens 1.2M in (1.0k from the provider's cache), 999 out; cost $12.35
- wall time 1 h 02 min

## Where it is

- /srv/it's.git, branch main
- from ${'a'.repeat(40)} to ${'b'.repeat(40)}
- take it over: git clone --branch main '/srv/it'\\''s.git'
- look at the run: http://ui/r1

## Notes

- main is checked out in /srv/x`);
});

test('a link that leads nowhere once the command has ended says what must run for it', () => {
  const text = renderReport(report, { uiLink: 'http://ui/r1', uiCommand: '`agentswarm dev`' });
  expect(text).toContain('- look at the run: http://ui/r1 (while `agentswarm dev` runs)\n');
});

test('a task says which criteria were met, what it took, what it left open, and what was planned in its place', () => {
  const [first] = report.tasks;
  if (first === undefined) throw new Error('the report has no task');
  const text = renderReport({
    ...report,
    tasks: [
      {
        ...first,
        criteria: { met: 2, of: 3, failed: ['types'] },
        ...{ tokens: 21_400, costUsd: 0.05, durationMs: 61_000 },
        concerns: ['It is slow.\nVery.'],
        successor: 'again',
      },
    ],
  });
  expect(text).toContain(', 2 of 3 criteria met, 21.4k tokens, $0.05, 1 min 01 s: ');
  expect(text).toContain('; planned anew as again\n  - It is slow. Very.\n');
});

test('what was not done is told with why, and whether the branch passes its checks', () => {
  const text = renderReport({
    ...report,
    undone: [
      { what: 'b: Do b', why: 'It did not compile.' },
      { what: 'the rest of the spec', why: '' },
    ],
    green: { verdict: 'green', commit: 'c'.repeat(40), at: 0, heals: 2 },
  });
  expect(text).toContain('## Not done\n\n- b: Do b (It did not compile.)\n- the rest of the spec\n');
  expect(text).toContain('- checks of the branch: green at cccccccccc; 2 heals\n');
  expect(renderReport(report)).not.toContain('Not done');
});

test('a run without isolation says so at its top', () => {
  const text = renderReport({ ...report, unsafe: true });
  expect(text).toContain('WITHOUT isolation');
  expect(text.indexOf('WITHOUT isolation')).toBeLessThan(text.indexOf('## Tasks'));
});

test('a run without tasks and without a tip says so', () => {
  const text = renderReport({ ...report, tasks: [], tip: undefined, notes: [], reason: undefined });
  expect(text).toContain('No task was planned.');
  expect(text).toContain('the tip could not be read back');
});

test.each([
  [0, '0'],
  [999, '999'],
  [1_000, '1.0k'],
  [999_949, '999.9k'],
  [999_950, '1.0M'],
])('%d tokens are %s', (count, text) => expect(formatCount(count)).toBe(text));

test.each([
  [0, '0.0 s'],
  [59_900, '59.9 s'],
  [59_960, '1 min 00 s'],
  [3_599_600, '1 h 00 min'],
  [7_199_999, '2 h 00 min'],
])('%d ms are %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

test('money that was spent never shows as nothing', () => {
  expect(formatUsd(0)).toBe('$0.00');
  expect(formatUsd(0.0004)).toBe('$0.0004');
  expect(formatUsd(1.005)).toBe('$1.00');
});
