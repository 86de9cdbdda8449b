/** What a task hands off and asks for, of what was collected. */
import { describe, expect, test } from 'vitest';
import type { AgentResult } from '../../../src/shared/contracts/agent-run.ts';
import { MergeRequest } from '../../../src/shared/contracts/merge.ts';
import type { CollectResult } from '../../../src/shared/contracts/sandbox.ts';
import { HandoffMessage, NO_METRICS, type TaskSpec } from '../../../src/shared/contracts/task.ts';
import { askToLand } from '../../../src/shared/task/merge-request.ts';
import { bodyOf } from '../../../src/shared/task/commit-text.ts';
import { finishedHandoff, handoffMessage, isToLand, workedOn } from '../../../src/shared/task/handoff.ts';
import { DEFAULT_RUN_SETTINGS, type RunSettings } from '../../../src/shared/contracts/run-settings.ts';
import { runContext } from '../../support/run-context.ts';

const [LEASED, WORK] = ['a', 'c'].map((digit) => digit.repeat(40)) as [string, string];
const REF = 'refs/agentswarm/runs/run-1/alpha.1';
const COLLECTED: CollectResult = { base: LEASED, commit: WORK, filesChanged: ['a.ts'], unresolved: [] };
const WEAKER: CollectResult = { ...COLLECTED, tamper: ['test/a.test.ts is deleted'] };

const CHAIN = { workflowId: 'run-1/alpha.3', firstRunId: 'chain' };

type More = { task?: Partial<TaskSpec>; settings?: Partial<RunSettings>; handoff?: Partial<AgentResult['handoff']> };

/** A task whose agent has ended, and whose work is collected. */
function ended({ task, settings, handoff }: More = {}, collected = COLLECTED) {
  const run = runContext('/x', LEASED, { settings: { ...DEFAULT_RUN_SETTINGS, ...settings } });
  const spec = { id: 'alpha', description: 'do it', scope: [], acceptance: [], priority: 2, dependsOn: [], ...task };
  const agent: Pick<AgentResult, 'handoff' | 'metrics'> = {
    handoff: { status: 'complete', summary: 'Done.', concerns: ['one'], suggestions: [], ...handoff },
    metrics: { ...NO_METRICS, turns: 4 },
  };
  const work = { ...collected, base: collected.base ?? LEASED, ref: REF };
  return { run, task: spec, handoff: finishedHandoff(workedOn(agent), { run, task: spec }, work) };
}

describe('of work that is to land', () => {
  test('the planner hears that it is queued, and the queue is asked for the same commit', () => {
    const { run, task, handoff } = ended();
    expect(isToLand(handoff)).toBe(true);
    expect(HandoffMessage.parse(handoffMessage({ chain: CHAIN, task, attempt: 3 }, handoff, true))).toMatchObject({
      id: 'chain/handoff',
      attempt: 3,
      queued: true,
      handoff: { status: 'complete', commit: WORK, filesChanged: ['a.ts'], concerns: ['one'], metrics: { turns: 4 } },
    });
    const at = { commit: WORK, base: LEASED, ref: REF, attempt: 1, subject: 'alpha: do it', body: 'Done.' };
    expect(MergeRequest.parse(askToLand({ run, task, fix: true, chain: CHAIN }, at).entry)).toMatchObject({
      id: 'chain/1',
      commit: WORK,
      base: LEASED,
      ref: REF,
      priority: 2,
      fix: true,
    });
  });

  test('texts are cut to what a queue and a planner carry', () => {
    const long = { summary: 'x'.repeat(8_000), concerns: Array.from({ length: 50 }, () => 'y'.repeat(4_000)) };
    const { task, handoff } = ended({ handoff: long });
    expect(bodyOf(handoff.summary)).toHaveLength(4_000);
    const message = handoffMessage({ chain: CHAIN, task, attempt: 3 }, handoff, true);
    expect(JSON.stringify(message).length).toBeLessThan(62_000);
  });
});

describe('nothing lands of work', () => {
  test.each<[string, More, CollectResult]>([
    ['that changes nothing', {}, { ...COLLECTED, commit: undefined }],
    ['that is not complete', { handoff: { status: 'partial' } }, COLLECTED],
    ['that makes tests weaker', { settings: { tamper: 'hold' } }, WEAKER],
  ])('%s', (_, more, collected) => {
    expect(isToLand(ended(more, collected).handoff)).toBe(false);
  });
});

describe('work that makes tests weaker', () => {
  const handoffOf = (more: More) => ended(more, WEAKER).handoff;

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
