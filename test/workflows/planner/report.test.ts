import { describe, expect, test } from 'vitest';
import { type PreparedRun, RunContext } from '../../../src/shared/contracts/run.ts';
import { NO_METRICS, TaskSpec } from '../../../src/shared/contracts/task.ts';
import { DEFAULT_RUN_SETTINGS } from '../../../src/shared/contracts/run-settings.ts';
import { PlannerState } from '../../../src/workflows/planner/state/planner-state.ts';
import { reportOf } from '../../../src/workflows/planner/report.ts';

const context = RunContext.parse({
  root: { workflowId: 'run', firstRunId: 'first' },
  repo: { location: '/srv/app.git', key: '/srv/app' },
  base: 'a'.repeat(40),
  target: 'main',
  settings: { ...DEFAULT_RUN_SETTINGS, maxAttempts: 1 },
});
const prepared: PreparedRun = { context, notes: [], unsafe: false };

type Spec = Partial<TaskSpec> & { id: string };

class Run {
  readonly state = new PlannerState({ ...context.settings, runId: 'run' });

  plan(done: boolean, ...specs: Spec[]): void {
    const scratchpad = { goals: '', state: '', reasoning: '', intelligence: '' };
    const tasks = specs.map((spec) => TaskSpec.parse({ description: `Do ${spec.id}.`, ...spec }));
    this.state.applyPlan({ scratchpad, tasks, done }, 0);
  }

  handOff(id: string, status: 'complete' | 'failed', checks: ('passed' | 'failed' | 'unchecked')[] = []): void {
    const sender = { workflowId: `run/${id}.1`, firstRunId: id };
    this.state.events.assigned(id, 0);
    this.state.events.started(id, sender);
    const handoff = {
      ...{ status, summary: `${id} is ${status}.`, concerns: ['A concern.'], suggestions: [], filesChanged: [] },
      metrics: { ...NO_METRICS, inputTokens: 10, outputTokens: 5, costUsd: 0.5, durationMs: 20 },
      checks: checks.map((how, i) => ({ name: `check ${i}`, status: how })),
    };
    this.state.events.handoff({ id, sender, taskId: id, attempt: 1, handoff, queued: false }, 0);
  }

  report() {
    return reportOf({ state: this.state, prepared, startedAt: 0, endedAt: 1, tip: null });
  }
}

describe('the report of a run', () => {
  test('has for each task what the checks showed, what it took and what it left open', () => {
    const run = new Run();
    run.plan(true, { id: 'a' });
    run.handOff('a', 'complete', ['passed', 'failed', 'unchecked']);
    expect(run.report()).toMatchObject({
      status: 'complete',
      undone: [],
      tasks: [
        {
          id: 'a',
          criteria: { met: 1, of: 3, failed: ['check 1'] },
          ...{ tokens: 15, costUsd: 0.5, durationMs: 20, concerns: ['A concern.'] },
        },
      ],
    });
  });

  test('is incomplete with what was not done and why, until a successor is done', () => {
    const run = new Run();
    run.plan(false, { id: 'a' }, { id: 'b' });
    run.handOff('a', 'failed');
    run.handOff('b', 'complete');
    expect(run.report()).toMatchObject({ status: 'incomplete', undone: [{ what: 'a: Do a.', why: 'a is failed.' }] });
    run.plan(true, { id: 'other', replaces: ['a'] });
    expect(run.report()).toMatchObject({
      status: 'incomplete',
      undone: [{ what: 'a: Do a.' }, { what: 'other: Do other.' }],
    });
    run.handOff('other', 'complete');
    const report = run.report();
    expect(report).toMatchObject({ status: 'complete', undone: [] });
    expect(report).not.toHaveProperty('reason');
    expect(report.tasks[0]).toMatchObject({ id: 'a', status: 'failed', successor: 'other' });
  });

  test('of a run that a person ended says that more was to be planned', () => {
    const run = new Run();
    run.plan(false, { id: 'a' });
    run.handOff('a', 'complete');
    run.state.closeFor('person', 'A person finished the run.');
    const { status, undone } = run.report();
    expect(status).toBe('incomplete');
    expect(undone).toEqual([
      { what: expect.stringContaining('beyond these tasks') as string, why: 'A person finished the run.' },
    ]);
  });
});
