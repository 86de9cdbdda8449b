/** States that earlier versions have carried through continue-as-new, from the recorded histories. */
import { describe, expect, test } from 'vitest';
import { DEFAULT_RUN_SETTINGS } from '../../../../src/shared/contracts/run-settings.ts';
import { type Handoff, NO_METRICS } from '../../../../src/shared/contracts/task.ts';
import { PlannerState } from '../../../../src/workflows/planner/state/planner-state.ts';
import { historyOf, recordedHistories } from '../../../histories/store.ts';

type Flat = { spec: { id: string }; attempt: number; child?: { workflowId: string; firstRunId: string } };
type Carried = { tasks: (Flat | unknown[])[]; metrics: { inputTokens: number } };

const runs = recordedHistories()
  .filter(({ type, name }) => type === 'planner' && name.includes('.run-'))
  .map((recorded) => {
    const payload = historyOf(recorded).events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0];
    const input = JSON.parse(Buffer.from(payload?.data ?? []).toString('utf8')) as { carried: { state: Carried } };
    return [recorded.name, input.carried.state] as const;
  });

const load = (state: unknown): PlannerState =>
  new PlannerState({ ...DEFAULT_RUN_SETTINGS, runId: 'linework' }, JSON.parse(JSON.stringify(state)));

/** Numbers of rounds, which nothing has ever read, and of older attempts that began. */
function withoutUnread(task: Flat | unknown[]): unknown {
  const {
    round: _,
    begun,
    ...rest
  } = (Array.isArray(task) ? (task.at(-1) as object) : task) as Record<string, unknown>;
  const number = Array.isArray(task) ? task[4] : task.attempt;
  const read = begun === number ? { ...rest, begun } : rest;
  return Array.isArray(task) ? [...task.slice(0, -1), read] : read;
}

describe.each(runs)('what %s began with', (_name, carried) => {
  test('is read whole, and carried on under the same names', () => {
    const again = JSON.parse(JSON.stringify(load(carried))) as Carried;
    expect(again).toMatchObject({ ...carried, tasks: carried.tasks.map(withoutUnread) });
    expect(again.tasks).toEqual(carried.tasks.map(withoutUnread));
  });

  test('goes on: the tasks that are under way are heard, and nobody else is', () => {
    const state = load(carried);
    const running = state.tasks.filter(({ status }) => status === 'running');
    expect(running.length).toBeGreaterThan(0);
    const handoff: Handoff = {
      ...{ status: 'complete', summary: 'Done.', concerns: [], suggestions: [], filesChanged: [] },
      metrics: { ...NO_METRICS, inputTokens: 7 },
    };
    for (const { spec, attempt } of running) {
      const { child: sender = { workflowId: '', firstRunId: '' }, number } = attempt;
      const message = { id: spec.id, sender, taskId: spec.id, attempt: number, handoff, queued: false };
      state.events.handoff({ ...message, sender: { ...sender, firstRunId: 'somebody else' } }, 1);
      expect(state.table.get(spec.id).status).toBe('running');
      state.events.handoff(message, 1);
      expect(state.table.get(spec.id)).toMatchObject({ status: 'complete', attempt: { number } });
    }
    expect(state.budget.metrics.inputTokens).toBe(carried.metrics.inputTokens + 7 * running.length);
  });
});

test('there are such histories', () => {
  expect(runs.map(([name]) => name)).toEqual(expect.arrayContaining(['linework.run-2', 'linework.run-3']));
});

test('a division of the version that lent no workers yet is still one', () => {
  const state = new PlannerState({ ...DEFAULT_RUN_SETTINGS, runId: 'linework' });
  const child = { workflowId: 'linework/a.1', firstRunId: 'f' };
  const spec = { id: 'a', description: 'Do a.', scope: [], acceptance: [], priority: 5, dependsOn: [] };
  const flat = { spec, status: 'running', branch: 'none', attempt: 1, heardAt: 0, conflicts: 0, child, divided: true };
  expect(load({ ...state.toJSON(), tasks: [flat] }).table.divisions()).toEqual([child]);
});
