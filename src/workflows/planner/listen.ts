/** What a planner's tasks and the planners below it tell it: what is no such message is dropped. */
import { setHandler } from '@temporalio/workflow';
import { HandoffMessage, OutcomeMessage } from '../../shared/contracts/task.ts';
import { WorkersReport } from '../../shared/contracts/workers.ts';
import { handoffSignal, taskOutcomeSignal, workersSignal } from '../../shared/messages.ts';
import { parseSignal } from '../support/input.ts';
import type { PlannerState } from './state/planner-state.ts';

export function listenToTasks(planner: { hear(change: (state: PlannerState) => void): void }): void {
  setHandler(handoffSignal, (raw) => {
    const message = parseSignal(HandoffMessage, raw, 'handoff');
    if (message !== undefined) planner.hear((state) => state.handoff(message, Date.now()));
  });
  setHandler(taskOutcomeSignal, (raw) => {
    const message = parseSignal(OutcomeMessage, raw, 'outcome');
    if (message !== undefined) planner.hear((state) => state.outcome(message, Date.now()));
  });
  setHandler(workersSignal, (raw) => {
    const report = parseSignal(WorkersReport, raw, 'workers');
    if (report !== undefined) planner.hear((state) => state.workersNeeded(report));
  });
}
