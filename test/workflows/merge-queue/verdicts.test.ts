import { expect, test } from 'vitest';
import type { CheckRun, ChecksRequest, ChecksResult } from '../../../src/shared/contracts/checks.ts';
import type { MergeRequest } from '../../../src/shared/contracts/merge.ts';
import { MERGE_TEXT } from '../../../src/shared/merge-queue/text.ts';
import { GateVerdicts } from '../../../src/workflows/merge-queue/verdicts.ts';
import { mergeRequest, SHA } from '../../support/merge-requests.ts';

const BASE = 'b'.repeat(40);
const REF = 'refs/agentswarm/gate/main/x';

function requestOf(id: string, command: string, fix = false) {
  return mergeRequest(id, {
    base: BASE,
    fix,
    gate: {
      mode: 'batch',
      slots: 1,
      checks: [{ name: command, command, quick: false, timeoutMinutes: 1 }],
      setup: null,
    },
  });
}

/** Verdicts of a sandbox that answers by the first command of what it is asked. */
function verdictsOf(answers: Record<string, Pick<ChecksResult, 'verdict'> & { reason?: string; checks?: CheckRun[] }>) {
  const asked: ChecksRequest[] = [];
  const verdicts = new GateVerdicts(
    { location: '/x', key: '/x' },
    {
      async runChecks(request) {
        asked.push(request);
        const command = request.checks === 'detect' ? 'detect' : (request.checks[0]?.command ?? '');
        return { checks: [], ...answers[command], commit: request.commit } as ChecksResult;
      },
      log: { info: () => undefined, warn: () => undefined },
    },
  );
  const on = (
    requests: MergeRequest[],
    tip: 'green' | 'unknown' | 'red' = 'green',
    line = requests.map(({ id }) => id),
  ) => verdicts.on({ line, requests, commit: SHA, ref: REF, base: BASE, tip: () => tip });
  return { verdicts, on, asked };
}

const failing = (name: string, ...signatures: string[]): CheckRun => ({
  name,
  status: 'failed',
  durationMs: 1,
  errors: signatures.map((signature) => ({ check: name, message: signature, signature })),
  tail: '',
});

test('where there is nothing to check, and where it could not be run, there is no verdict', async () => {
  const { on } = verdictsOf({
    'make none': { verdict: 'none' },
    'make lost': { verdict: 'could-not-run', reason: 'no host' },
  });
  await expect(on([requestOf('a', 'make none')])).rejects.toThrow(MERGE_TEXT.nothingToCheck);
  await expect(on([requestOf('a', 'make lost')])).rejects.toThrow('no host');
});

test('a line passes when the checks of each of its requests have passed, and each are run once', async () => {
  const { on, asked } = verdictsOf({
    'make a': { verdict: 'passed' },
    'make b': { verdict: 'failed', checks: [failing('make b', 'error of b')] },
  });
  expect(await on([requestOf('x', 'make a'), requestOf('y', 'make a')])).toEqual({ passed: true, report: '' });
  expect(asked).toHaveLength(1);
  const verdict = await on([requestOf('x', 'make a'), requestOf('y', 'make b')]);
  expect(verdict).toEqual({ passed: false, report: expect.stringContaining('error of b') });
});

test('what the tip has is no error of the line where the tip is known to pass, and only there', async () => {
  const { on, asked } = verdictsOf({ 'make a': { verdict: 'passed' } });
  for (const tip of ['green', 'unknown', 'red'] as const) await on([requestOf('x', 'make a')], tip);
  expect(asked.map(({ since }) => since)).toEqual([BASE, undefined, undefined]);
});

test('on a red tip a fix passes that takes errors away, and its landing is known not to make the branch whole', async () => {
  const answers = { 'make a': { verdict: 'failed' as const, checks: [failing('make a', 'one', 'two')] } };
  const { verdicts, on } = verdictsOf(answers);
  const fix = requestOf('x', 'make a', true);
  expect(await on([fix], 'unknown', [])).toMatchObject({ passed: false });
  expect(await on([fix], 'red')).toMatchObject({ passed: false });
  answers['make a'] = { verdict: 'failed', checks: [failing('make a', 'two')] };
  expect(await on([requestOf('x', 'make a')], 'red')).toMatchObject({ passed: false });
  expect(verdicts.isPartial(SHA)).toBe(false);
  expect(await on([fix], 'red')).toEqual({ passed: true, report: '' });
  expect(verdicts.isPartial(SHA)).toBe(true);
  verdicts.forget();
  expect(await on([fix], 'red')).toMatchObject({ passed: false });
});
