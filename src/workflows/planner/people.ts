/** What people send to a planner of any level: updates, refused at once by their validators, or accepted. */
import { isCancellation, setHandler } from '@temporalio/workflow';
import {
  AddTask,
  CancelTask,
  type Control,
  ReleaseTask,
  RetryTask,
  SetLimits,
  Steer,
} from '../../shared/contracts/people.ts';
import type { RunSettings } from '../../shared/settings.ts';
import { specOfAdded, whyNotAdded } from '../../shared/decisions/added-task.ts';
import { rootMessage } from '../../shared/failures.ts';
import {
  addTaskUpdate,
  cancelTaskUpdate,
  finishUpdate,
  releaseTaskUpdate,
  retryTaskUpdate,
  setLimitsUpdate,
  steerUpdate,
} from '../../shared/messages.ts';
import { PLANNER_TEXT } from '../../shared/run-text.ts';
import type { TaskStatus } from '../../shared/task-machine.ts';
import { standingOf } from './people-state.ts';
import type { Place } from './place.ts';
import { type Children, quietly } from './children.ts';
import type { PlannerState } from './state.ts';
import { refused, refuseIf, refuseUnless, said } from '../refusals.ts';
import { knownTasks } from './tasks/records.ts';

/** A planner as it is spoken to. */
export type Addressed = {
  /** These three are absent until the run is prepared. */
  readonly place: Place | undefined;
  readonly state: PlannerState | undefined;
  readonly children: Children | undefined;
  /** Hears nothing any more. */
  readonly isEnding: boolean;
  /** At once, or when the run is prepared. */
  hear(change: (state: PlannerState) => void): void;
};

export function listenToPeople(planner: Addressed): void {
  listenToWords(planner);
  listenToTaskOrders(planner);
  setHandler(setLimitsUpdate, (raw) => setLimits(planner, raw), {
    validator: (raw) => {
      const limits = said(SetLimits, raw, 'setLimits');
      const state = preparedState(planner);
      // What a division may spend is reserved by the planner above it.
      refuseUnless(limits.budget === undefined || planner.place?.above.length === 0, PLANNER_TEXT.notLimited);
      refuseIf(state.whyNotLimited(limits));
    },
  });
}

function listenToWords(planner: Addressed): void {
  setHandler(steerUpdate, (raw) => steered(planner, said(Steer, raw, 'steer')), {
    validator: (raw) => {
      const { task } = said(Steer, raw, 'steer');
      refuseUnless(!planner.isEnding, PLANNER_TEXT.ending);
      if (task !== undefined) refuseUnlessOpen(planner, task, ['running']);
    },
  });
  setHandler(
    finishUpdate,
    () => {
      finish(planner, PLANNER_TEXT.finishedByPerson);
      return PLANNER_TEXT.finishing;
    },
    {
      validator: () => {
        const { closing } = preparedState(planner);
        refuseUnless(closing === undefined, PLANNER_TEXT.closing(closing?.reason ?? ''));
      },
    },
  );
}

function listenToTaskOrders(planner: Addressed): void {
  setHandler(cancelTaskUpdate, (raw) => cancelTask(planner, raw), {
    validator: (raw) => {
      const { task } = said(CancelTask, raw, 'cancelTask');
      refuseUnless(!planner.isEnding, PLANNER_TEXT.ending);
      refuseUnlessOpen(planner, task, ['pending', 'running']);
    },
  });
  setHandler(
    retryTaskUpdate,
    (raw) => {
      const { task, text } = said(RetryTask, raw, 'retryTask');
      let ids: string[] = [];
      planner.hear((state) => (ids = state.retry(task, text, Date.now())));
      return PLANNER_TEXT.retrying(ids);
    },
    {
      validator: (raw) => {
        const { task } = said(RetryTask, raw, 'retryTask');
        refuseIf(preparedState(planner).whyNotRetried(task));
      },
    },
  );
  setHandler(
    releaseTaskUpdate,
    (raw) => {
      const { task, reason = '' } = said(ReleaseTask, raw, 'releaseTask');
      let revived: string[] = [];
      planner.hear((state) => (revived = state.release(task, reason, Date.now())));
      return PLANNER_TEXT.releasing(task, revived);
    },
    {
      validator: (raw) => {
        const { task } = said(ReleaseTask, raw, 'releaseTask');
        refuseIf(preparedState(planner).whyNotReleased(task));
      },
    },
  );
  setHandler(
    addTaskUpdate,
    (raw) => {
      const { tasks } = preparedState(planner);
      const spec = specOfAdded(said(AddTask, raw, 'addTask'), knownTasks(tasks));
      planner.hear((state) => state.add(spec, Date.now()));
      return PLANNER_TEXT.added(spec.id);
    },
    {
      validator: (raw) => {
        const state = preparedState(planner);
        const { closing, tasks } = state;
        const asked = said(AddTask, raw, 'addTask');
        refuseUnless(closing === undefined, PLANNER_TEXT.closing(closing?.reason ?? ''));
        const errors = whyNotAdded(asked, knownTasks(tasks), state.openSpecs(), divisionRules(planner));
        refuseUnless(errors.length === 0, PLANNER_TEXT.notAdded(errors));
      },
    },
  );
}

/** What a planner above has been told, handed down. */
export function obey(planner: Addressed, control: Control): void {
  switch (control.kind) {
    case 'finish':
      if (planner.state?.closing === undefined) finish(planner, PLANNER_TEXT.finishedByPerson);
      return;
    case 'cancel':
      giveUpAll(planner, control.reason, control.until);
      return;
    case 'limits':
      planner.hear((state) => state.limit({ maxWorkers: control.maxWorkers }));
      tellBelow(planner, control);
      return;
    case 'workers':
      planner.hear((state) => state.workersLent(control));
      return;
  }
}

/** To the planner's model, and to all planners below it. */
export function steerAll(planner: Addressed, text: string): void {
  planner.hear((state) => state.steer(text));
  for (const child of planner.state?.divisions() ?? []) void quietly(planner.children?.tell(child, text));
}

/** Nothing more is begun; what runs hands off what there is, and has until then. */
export function giveUpAll(planner: Addressed, reason: string, until: number): void {
  planner.hear((state) => {
    state.closeFor('cancel', reason, until);
    for (const { spec, status } of state.tasks) {
      if (status === 'running' || status === 'assigned') handOff(planner, state, spec.id, reason, until);
    }
  });
}

function finish(planner: Addressed, reason: string): void {
  planner.hear((state) => state.closeFor('person', reason));
  tellBelow(planner, { kind: 'finish' });
}

/** One that is being started is told once it has. */
function handOff(planner: Addressed, state: PlannerState, id: string, reason: string, until: number): void {
  state.giveUp(id, reason, until);
  const task = state.tasks.find(({ spec }) => spec.id === id);
  if (task?.child !== undefined) void quietly(planner.children?.giveUp(task));
}

function tellBelow(planner: Addressed, control: Control): void {
  for (const child of planner.state?.divisions() ?? []) void quietly(planner.children?.control(child, control));
}

function setLimits(planner: Addressed, raw: unknown): string {
  const limits = said(SetLimits, raw, 'setLimits');
  planner.hear((state) => state.limit(limits));
  if (limits.maxWorkers !== undefined) tellBelow(planner, { kind: 'limits', maxWorkers: limits.maxWorkers });
  return PLANNER_TEXT.limited;
}

async function steered(planner: Addressed, { text, task: id }: Steer): Promise<string> {
  if (id === undefined) {
    steerAll(planner, text);
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

async function cancelTask(planner: Addressed, raw: unknown): Promise<string> {
  const { task: id, reason = PLANNER_TEXT.taskCancelled, ...how } = said(CancelTask, raw, 'cancelTask');
  if (how.handOff) {
    planner.hear((state) => handOff(planner, state, id, reason, Date.now() + how.graceMinutes * 60_000));
    return PLANNER_TEXT.handingOff(id, how.graceMinutes);
  }
  const child = planner.state?.cancelTask(id, reason);
  planner.hear(() => undefined);
  if (child !== undefined) await planner.children?.cancel(child);
  return PLANNER_TEXT.cancellingTask(id);
}

function preparedState({ state, isEnding }: Addressed): PlannerState {
  if (state === undefined) throw refused(PLANNER_TEXT.notPrepared);
  refuseUnless(!isEnding, PLANNER_TEXT.ending);
  return state;
}

function divisionRules({ place }: Addressed): { scope: string[]; subtasks: number } | undefined {
  if (place?.division === undefined) return undefined;
  const { division }: RunSettings = place.context.settings;
  return { scope: place.division.task.scope, subtasks: division.subtasks };
}

function refuseUnlessOpen({ state }: Addressed, id: string, statuses: readonly TaskStatus[]): void {
  const task = state?.tasks.find(({ spec }) => spec.id === id);
  refuseUnless(task !== undefined, PLANNER_TEXT.noTask(id));
  if (task === undefined) return;
  refuseUnless(statuses.includes(task.status), PLANNER_TEXT.taskIs(id, standingOf(task)));
}
