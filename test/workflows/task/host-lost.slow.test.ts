/** What a host's end takes with it: the deadlines that notice it are of minutes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MergeOutcome } from '../../../src/shared/contracts/merge.ts';
import { CLOSES, COLLECTED, type TaskStage, taskStage } from './stage.ts';

const LANDED: MergeOutcome = { kind: 'landed', commit: 'b'.repeat(40) };

let stage: TaskStage;
beforeAll(async () => {
  stage = await taskStage();
}, 60_000);
afterAll(() => stage.close(), 60_000);

test('work whose host is lost before it is collected is collected in another sandbox', async () => {
  let end: (result: { end: 'gone' }) => void = () => undefined;
  const ended = new Promise((resolve) => (end = resolve));
  const task = await stage.started({
    ...CLOSES,
    // Nobody runs that queue any more.
    ' holdSandbox': [{ queue: 'of-a-lost-host' }, {}],
    ' holdSandbox ends': [() => ended],
    ' collectWork': [COLLECTED],
    ' handOff': [LANDED],
  });
  await expect.poll(() => task.scheduled(), { timeout: 20_000 }).toContain('collectWork');
  end({ end: 'gone' });
  const { handoffs, outcomes } = await task.told();
  expect(handoffs).toMatchObject([{ queued: true, handoff: { status: 'complete' } }]);
  expect(outcomes).toMatchObject([{ outcome: LANDED }]);
  expect(task.collects()).toMatchObject([{ again: true, sandbox: { id: 's-2' } }]);
}, 180_000);
