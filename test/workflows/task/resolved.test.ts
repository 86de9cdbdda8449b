import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MergeOutcome } from '../../../src/shared/contracts/merge.ts';
import { answer, BRIEF, CLOSES, COLLECTED, SHA, type TaskStage, taskStage } from './stage.ts';

let stage: TaskStage;
beforeAll(async () => {
  stage = await taskStage();
}, 60_000);
afterAll(() => stage.close(), 60_000);

const RESOLVED = 'b'.repeat(40);
const TIP = 'c'.repeat(40);
const EVIDENCE = 'test/a.test.ts has one test less';
const CONFLICT: MergeOutcome = { kind: 'conflicted', files: ['a.txt'], tip: TIP };
const LANDED: MergeOutcome = { kind: 'landed', commit: 'd'.repeat(40) };
const HANDOFF = JSON.stringify({ status: 'complete', summary: 'Both sides are in.' });

/** A task whose work conflicts, and whose conflict is resolved in a way that the guard has something to say of. */
const conflicting = (own: readonly string[] = []) => ({
  ...CLOSES,
  ' holdSandbox': ['leased', 'leased'],
  ' collectWork': [
    { ...COLLECTED, ...(own.length === 0 ? {} : { tamper: [...own] }) },
    { ...COLLECTED, base: TIP, commit: RESOLVED, tamper: [EVIDENCE] },
  ],
  ' handOff': [CONFLICT],
  '/conflict.1 briefAndThink': [{ messages: [BRIEF], answer: answer('submit_handoff', HANDOFF) }],
  ' enqueueMerge': [LANDED],
});

describe('a conflict that is resolved with weaker tests', () => {
  test('is held for people, who may release what came of it', async () => {
    const task = await stage.started(conflicting(), { tamper: 'hold' });
    const { outcomes } = await task.told();
    const [{ outcome } = {}] = outcomes;
    expect(outcome).toMatchObject({
      kind: 'ejected',
      refused: false,
      held: { by: 'tamper', commit: RESOLVED, base: TIP, since: SHA },
    });
    if (outcome?.kind !== 'ejected') throw new Error('it is not');
    expect(outcome.reason).toContain(EVIDENCE);
    expect(outcome.held?.ref).toBe(outcome.ref);
    expect(outcome.ref).toMatch(/conflict-1$/);
    // Only the first try was ever queued.
    expect(task.asked().map(({ entry }) => entry.commit)).toEqual([SHA]);
  }, 30_000);

  test('lands with a warning where such work is only reported', async () => {
    const task = await stage.started(conflicting(), { tamper: 'report' });
    const { outcomes } = await task.told();
    expect(outcomes).toMatchObject([{ outcome: { ...LANDED, warning: expect.stringContaining(EVIDENCE) } }]);
    expect(task.asked().map(({ entry }) => entry.commit)).toEqual([SHA, RESOLVED]);
  }, 30_000);

  test('lands without one where the task has told of it already', async () => {
    const task = await stage.started(conflicting([EVIDENCE]), { tamper: 'report' });
    const { outcomes } = await task.told();
    expect(outcomes.map(({ outcome }) => outcome)).toEqual([LANDED]);
  }, 30_000);
});
