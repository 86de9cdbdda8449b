/** What people send to a planner of any level: updates, refused at once by their validators, or accepted. */
import { isCancellation, setHandler } from '@temporalio/workflow';
import { rootMessage } from '../shared/failures.ts';
import { cancelTaskUpdate, finishUpdate, steerUpdate } from '../shared/messages.ts';
import { PLANNER_TEXT } from '../shared/run-text.ts';
import type { TaskStatus } from '../shared/task-machine.ts';
import type { Children } from './planner-children.ts';
import type { PlannerState } from './planner-state.ts';
import { refuseLong, refused, refuseUnless } from './refusals.ts';

/** A planner as it is spoken to. */
export type Addressed = {
  /** Absent until the run is prepared. */
  readonly state: PlannerState | undefined;
  readonly children: Children | undefined;
  /** Hears nothing any more. */
  readonly isEnding: boolean;
  /** At once, or when the run is prepared. */
  hear(change: (state: PlannerState) => void): void;
};

export function listenToPeople(planner: Addressed): void {
  setHandler(steerUpdate, ({ text, task }) => steered(planner, text, task), {
    validator: (said: { text: string; task?: string } | undefined) => {
      refuseUnless(typeof said?.text === 'string' && said.text.trim() !== '', PLANNER_TEXT.steerWhat);
      refuseLong(said?.text);
      refuseUnless(!planner.isEnding, PLANNER_TEXT.ending);
      if (said?.task !== undefined) refuseUnlessOpen(planner, said.task, ['running']);
    },
  });
  setHandler(cancelTaskUpdate, ({ task, reason }) => cancelTask(planner, task, reason ?? PLANNER_TEXT.taskCancelled), {
    validator: (said: { task: string; reason?: string } | undefined) => {
      refuseUnless(typeof said?.task === 'string', PLANNER_TEXT.cancelWhat);
      refuseUnless(said?.reason === undefined || typeof said.reason === 'string', PLANNER_TEXT.cancelWhat);
      refuseLong(said?.reason);
      refuseUnless(!planner.isEnding, PLANNER_TEXT.ending);
      refuseUnlessOpen(planner, said?.task ?? '', ['pending', 'running']);
    },
  });
  setHandler(
    finishUpdate,
    () => {
      planner.hear((state) => state.closeFor('person', PLANNER_TEXT.finishedByPerson));
      return PLANNER_TEXT.finishing;
    },
    {
      validator: () => {
        refuseUnless(planner.state !== undefined, PLANNER_TEXT.notPrepared);
        refuseUnless(!planner.isEnding && planner.state?.closing === undefined, PLANNER_TEXT.ending);
      },
    },
  );
}

function refuseUnlessOpen({ state }: Addressed, id: string, statuses: readonly TaskStatus[]): void {
  const task = state?.tasks.find(({ spec }) => spec.id === id);
  const standing = task?.branch === 'queued' ? 'waiting to land' : task?.status;
  refuseUnless(task !== undefined, PLANNER_TEXT.noTask(id));
  refuseUnless(task !== undefined && statuses.includes(task.status), PLANNER_TEXT.taskIs(id, standing ?? ''));
}

async function steered(planner: Addressed, text: string, id: string | undefined): Promise<string> {
  if (id === undefined) {
    planner.hear((state) => state.steer(text));
    return PLANNER_TEXT.steered;
  }
  const child = planner.state?.tasks.find(({ spec }) => spec.id === id)?.child;
  try {
    if (child === undefined) throw refused('it has not started yet');
    await planner.children?.tell(child, text);
  } catch (error) {
    if (isCancellation(error)) throw error;
    throw refused(PLANNER_TEXT.notTold(id, rootMessage(error)));
  }
  planner.hear(() => undefined);
  return PLANNER_TEXT.told(id);
}

async function cancelTask(planner: Addressed, id: string, reason: string): Promise<string> {
  const child = planner.state?.cancelTask(id, reason);
  planner.hear(() => undefined);
  if (child !== undefined) await planner.children?.cancel(child);
  return PLANNER_TEXT.cancellingTask(id);
}
