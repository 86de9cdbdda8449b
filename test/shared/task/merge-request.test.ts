/** What a task hands off and asks for, of what was collected. */
import { describe, expect, test } from 'vitest';
import type { FinishedWork } from '../../../src/shared/contracts/activities.ts';
import { MergeRequest } from '../../../src/shared/contracts/merge.ts';
import type { CollectResult } from '../../../src/shared/contracts/sandbox.ts';
import { HandoffMessage, NO_METRICS, type TaskSpec } from '../../../src/shared/contracts/task.ts';
import { askForFinished } from '../../../src/shared/task/merge-request.ts';
import { finishedHandoff, isToLand, workedOn } from '../../../src/shared/task/handoff.ts';
import { DEFAULT_RUN_SETTINGS, type RunSettings } from '../../../src/shared/config/run-settings.ts';
import { runContext } from '../../support/run-context.ts';

const [LEASED, OLDER, WORK] = ['a', 'b', 'c'].map((digit) => digit.repeat(40)) as [string, string, string];
const REF = 'refs/agentswarm/runs/run-1/alpha.1';
const COLLECTED: CollectResult = { base: LEASED, commit: WORK, filesChanged: ['a.ts'], unresolved: [] };
const WEAKER: CollectResult = { ...COLLECTED, tamper: ['test/a.test.ts is deleted'] };

type More = {
  task?: Partial<TaskSpec>;
  settings?: Partial<RunSettings>;
  collect?: Partial<FinishedWork['collect']>;
  handoff?: Partial<FinishedWork['agent']['handoff']>;
};

const finished = ({ task, settings, collect, handoff }: More = {}): FinishedWork => ({
  parent: { workflowId: 'run-1', firstRunId: 'parent' },
  attempt: 3,
  agent: {
    handoff: { status: 'complete', summary: 'Done.', concerns: ['one'], suggestions: [], ...handoff },
    metrics: { ...NO_METRICS, turns: 4 },
  },
  collect: {
    run: runContext('/x', LEASED, { settings: { ...DEFAULT_RUN_SETTINGS, ...settings } }),
    sandbox: { id: 's', epoch: 1, queue: 'host' },
    base: LEASED,
    task: { id: 'alpha', description: 'do it', scope: [], acceptance: [], priority: 2, dependsOn: [], ...task },
    change: { workflowId: 'run-1/alpha.3', firstRunId: 'chain' },
    ref: REF,
    subject: 'alpha: do it',
    body: 'Done.',
    ...collect,
  },
});

describe('of work that is to land', () => {
  test('the planner is told that it is queued, and the queue is asked for the same commit', () => {
    const asked = askForFinished(finished({ collect: { fix: true } }), COLLECTED);
    const { message, parent } = asked?.handoff ?? expect.fail('nothing is told');
    expect(parent).toEqual({ workflowId: 'run-1', firstRunId: 'parent' });
    expect(HandoffMessage.parse(message)).toMatchObject({
      id: 'chain/handoff',
      attempt: 3,
      queued: true,
      handoff: { status: 'complete', commit: WORK, filesChanged: ['a.ts'], concerns: ['one'], metrics: { turns: 4 } },
    });
    expect(MergeRequest.parse(asked?.entry)).toMatchObject({
      id: 'chain/1',
      commit: WORK,
      base: LEASED,
      ref: REF,
      priority: 2,
      fix: true,
    });
  });

  test('it is measured against what its sandbox was restored to', () => {
    expect(askForFinished(finished(), { ...COLLECTED, base: OLDER })?.entry.base).toBe(OLDER);
    expect(askForFinished(finished(), { ...COLLECTED, base: undefined })?.entry.base).toBe(LEASED);
  });

  test('texts are cut to what a queue and a planner carry', () => {
    const long = { summary: 'x'.repeat(8_000), concerns: Array.from({ length: 50 }, () => 'y'.repeat(4_000)) };
    const asked = askForFinished(finished({ handoff: long }), COLLECTED);
    expect(asked?.entry.body).toHaveLength(4_000);
    expect(JSON.stringify(asked?.handoff).length).toBeLessThan(62_000);
  });
});

describe('nothing is asked for work', () => {
  test.each<[string, FinishedWork, CollectResult]>([
    ['that changes nothing', finished(), { ...COLLECTED, commit: undefined }],
    ['that is not complete', finished({ handoff: { status: 'partial' } }), COLLECTED],
    ['that makes tests weaker', finished({ settings: { tamper: 'hold' } }), WEAKER],
  ])('%s', (_, work, collected) => {
    expect(askForFinished(work, collected)).toBeUndefined();
  });
});

describe('work that makes tests weaker', () => {
  const handoffOf = (more: More) => {
    const { collect, agent } = finished(more);
    return finishedHandoff(workedOn(agent), collect, { ...WEAKER, base: LEASED, ref: REF });
  };

  test('is held with all that landing it takes, and says why before what the agent says', () => {
    const handoff = handoffOf({ settings: { tamper: 'hold' } });
    expect(handoff).toMatchObject({
      status: 'blocked',
      commit: WORK,
      held: { by: 'tamper', commit: WORK, base: LEASED, ref: REF, summary: 'Done.', files: ['a.ts'] },
      concerns: [expect.stringContaining('test/a.test.ts is deleted'), 'one'],
    });
    expect(handoff.summary).toMatch(/^Held, not landed[\s\S]*Done\.$/);
    expect(isToLand(handoff)).toBe(false);
  });

  test.each<[string, More]>([
    ['that was asked for', { task: { weakensTests: true }, settings: { tamper: 'hold' } }],
    ['that is only to be reported', { settings: { tamper: 'report' } }],
  ])('lands where %s, with a concern', (_, more) => {
    const handoff = handoffOf(more);
    expect(handoff).toMatchObject({ status: 'complete', summary: 'Done.' });
    expect(handoff.concerns[0]).toContain('test/a.test.ts is deleted');
    expect(isToLand(handoff)).toBe(true);
  });
});
