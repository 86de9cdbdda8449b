/**
 * All that planners hear: signals of what they have started and of the planners above and below, queries, and updates
 * of people, which are refused at once by their validators, or accepted.
 */
import type { SignalDefinition, UpdateDefinition } from '@temporalio/common';
import { isCancellation, setHandler } from '@temporalio/workflow';
import { z } from 'zod';
import { AgentMessage } from '../../shared/contracts/agent-run.ts';
import { ModelWait } from '../../shared/contracts/model-wait.ts';
import {
  AddTask,
  ApprovalRequest,
  ApprovalVerdict,
  Approve,
  CancelRun,
  CancelTask,
  Control,
  Pause,
  Reject,
  ReleaseTask,
  RetryTask,
  SetLimits,
  Steer,
} from '../../shared/contracts/people.ts';
import { SweptMessage } from '../../shared/contracts/sweep.ts';
import { HandoffMessage, OutcomeMessage } from '../../shared/contracts/task.ts';
import { WorkersReport } from '../../shared/contracts/workers.ts';
import type { RunSettings } from '../../shared/contracts/run-settings.ts';
import { specOfAdded, whyNotAdded } from '../../shared/planner/added-task.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import {
  addTaskUpdate,
  approvalSignal,
  approveUpdate,
  cancelTaskUpdate,
  cancelUpdate,
  controlSignal,
  finishUpdate,
  handoffSignal,
  messageSignal,
  modelWaitSignal,
  pauseUpdate,
  rejectUpdate,
  releaseTaskUpdate,
  resumeUpdate,
  retryTaskUpdate,
  setLimitsUpdate,
  snapshotQuery,
  steerUpdate,
  sweptSignal,
  taskOutcomeSignal,
  transcriptQuery,
  verdictSignal,
  workersSignal,
} from '../../shared/messages.ts';
import { PLANNER_TEXT } from '../../shared/planner/text.ts';
import type { TaskStatus } from '../../shared/task/task-machine.ts';
import { parseSignal } from '../support/input.ts';
import { parseUpdate, refused, refuseIf, refuseUnless } from '../support/refusals.ts';
import { type RunApprovals, planOf } from './approvals.ts';
import { quietly } from './children.ts';
import type { PlanningWorkflow } from './planning-workflow.ts';
import type { PlannerState } from './state/planner-state.ts';
import { knownTasks, standingOf } from './state/task-record.ts';
import type { SweepScheduler } from './sweep-scheduler.ts';

/** The planner of a run, beside what planners of all levels do. */
export type ListeningRun = {
  readonly planning: PlanningWorkflow;
  readonly approvals: RunApprovals;
  readonly sweeps: SweepScheduler;
  pause(reason: string): void;
  resume(): void;
};

/** An update that takes no argument. */
const ANYTHING = z.unknown();

/** What a planner of any level hears. */
export function listenToAll(planner: PlanningWorkflow): void {
  const now = (): number => Date.now();
  onSignal(handoffSignal, HandoffMessage, (m) => planner.hear((state) => state.events.handoff(m, now())));
  onSignal(taskOutcomeSignal, OutcomeMessage, (m) => planner.hear((state) => state.events.outcome(m, now())));
  onSignal(workersSignal, WorkersReport, (report) => planner.hear((state) => state.dispatch.workersNeeded(report)));
  onSignal(modelWaitSignal, ModelWait, (wait) => planner.modelWaits.heard(wait));
  setHandler(snapshotQuery, () => planner.snapshot());
  setHandler(transcriptQuery, (range) => planner.messages.slice(range?.from ?? 0, range?.to));
  onSignal(messageSignal, AgentMessage, ({ text }) => steerAll(planner, text));
  onSignal(controlSignal, Control, (control) => obey(planner, control));
  onUpdate(planner, steerUpdate, Steer, refuseSteer, steer);
  onUpdate(planner, finishUpdate, ANYTHING, refuseFinish, finish);
  onUpdate(planner, cancelTaskUpdate, CancelTask, refuseCancelTask, cancelTask);
  onUpdate(planner, retryTaskUpdate, RetryTask, refuseRetryTask, retryTask);
  onUpdate(planner, releaseTaskUpdate, ReleaseTask, refuseReleaseTask, releaseTask);
  onUpdate(planner, addTaskUpdate, AddTask, refuseAddTask, addTask);
  onUpdate(planner, setLimitsUpdate, SetLimits, refuseSetLimits, setLimits);
}

/** What the planner of a run hears besides. */
export function listenToRun(run: ListeningRun): void {
  const { planning, approvals, sweeps } = run;
  onSignal(sweptSignal, SweptMessage, (message) => planning.hear((state) => sweeps.swept(state, message)));
  onSignal(approvalSignal, ApprovalRequest, (request) => approvals.ask(request));
  onUpdate(run, approveUpdate, Approve, refuseDecision, approve);
  onUpdate(run, rejectUpdate, Reject, refuseDecision, reject);
  onUpdate(run, pauseUpdate, Pause, refusePause, pause);
  onUpdate(run, resumeUpdate, ANYTHING, refuseResume, resume);
  onUpdate(run, cancelUpdate, CancelRun, refuseCancelRun, cancelRun);
}

/** What the planner of a division hears besides: the verdicts that it has asked the run's planner for. */
export function listenToDivision(planner: PlanningWorkflow): void {
  onSignal(verdictSignal, ApprovalVerdict, (verdict) =>
    planner.hear((state) => state.commands.planDecided(planOf(verdict), verdict)),
  );
}

/** A signal whose argument is not what it should be is dropped: anyone can send one. */
function onSignal<S extends z.ZodType>(
  signal: SignalDefinition<[z.infer<S>]>,
  schema: S,
  handle: (message: z.infer<S>) => void | Promise<void>,
): void {
  setHandler(signal, (raw: unknown) => {
    const message = parseSignal(schema, raw, signal.name);
    return message === undefined ? undefined : handle(message);
  });
}

/** An update whose argument is not what it should be, or that `refuse` refuses, is not accepted into the history. */
function onUpdate<P, S extends z.ZodType>(
  planner: P,
  update: UpdateDefinition<string, [z.input<S>]> | UpdateDefinition<string, []>,
  schema: S,
  refuse: (planner: P, asked: z.output<S>) => void,
  handle: (planner: P, asked: z.output<S>) => string | Promise<string>,
): void {
  const parse = (raw: unknown): z.output<S> => parseUpdate(schema, raw, update.name);
  setHandler(update as UpdateDefinition<string, [unknown]>, (raw) => handle(planner, parse(raw)), {
    validator: (raw) => refuse(planner, parse(raw)),
  });
}

/** What a planner above has been told, handed down. */
function obey(planner: PlanningWorkflow, control: Control): void {
  switch (control.kind) {
    case 'finish':
      if (planner.state?.status.closing === undefined) finish(planner);
      return;
    case 'cancel':
      planner.stopPlanning();
      giveUpAll(planner, control.reason, control.until);
      return;
    case 'limits':
      planner.hear((state) => state.commands.limit({ maxWorkers: control.maxWorkers }));
      tellBelow(planner, control);
      return;
    case 'workers':
      planner.hear((state) => state.dispatch.workersLent(control));
      return;
  }
}

/** To the planner's model, and to all planners below it. */
function steerAll(planner: PlanningWorkflow, text: string): void {
  planner.hear((state) => state.commands.steer(text));
  for (const child of planner.state?.table.divisions() ?? []) void quietly(planner.children?.tell(child, text));
}

function tellBelow(planner: PlanningWorkflow, control: Control): void {
  for (const child of planner.state?.table.divisions() ?? []) void quietly(planner.children?.control(child, control));
}

/** Nothing more is begun; what runs hands off what there is, and has until then. */
function giveUpAll(planner: PlanningWorkflow, reason: string, until: number): void {
  planner.hear((state) => {
    state.closeFor('cancel', reason, until);
    for (const { spec, status } of state.tasks) {
      if (status === 'running' || status === 'assigned') handOff(planner, state, spec.id, { reason, until });
    }
  });
}

/** One that is being started is told once it has. */
function handOff(
  planner: PlanningWorkflow,
  state: PlannerState,
  id: string,
  { reason, until }: { reason: string; until: number },
): void {
  state.commands.giveUp(id, reason, until);
  const { attempt } = state.table.get(id);
  if (attempt.child !== undefined) void quietly(planner.children?.giveUp(attempt));
}

function refuseFinish(planner: PlanningWorkflow): void {
  refuseIfClosing(preparedState(planner));
}

function finish(planner: PlanningWorkflow): string {
  planner.hear((state) => state.closeFor('person', PLANNER_TEXT.finishedByPerson));
  tellBelow(planner, { kind: 'finish' });
  return PLANNER_TEXT.finishing;
}

function refuseSteer(planner: PlanningWorkflow, { task }: Steer): void {
  refuseUnless(!planner.isEnding, PLANNER_TEXT.ending);
  if (task !== undefined) refuseUnlessTaskIs(planner, task, ['running']);
}

async function steer(planner: PlanningWorkflow, { text, task: id }: Steer): Promise<string> {
  if (id === undefined) {
    steerAll(planner, text);
    return PLANNER_TEXT.steered;
  }
  const child = planner.state?.table.find(id)?.attempt.child;
  try {
    if (child === undefined) throw refused('it has not started yet');
    await planner.children?.tell(child, text);
  } catch (error) {
    if (isCancellation(error)) throw error;
    throw refused(PLANNER_TEXT.notTold(id, rootMessage(error)));
  }
  planner.hear(() => undefined);
  return PLANNER_TEXT.delivered(id);
}

function refuseCancelTask(planner: PlanningWorkflow, { task }: Pick<CancelTask, 'task'>): void {
  refuseUnless(!planner.isEnding, PLANNER_TEXT.ending);
  refuseUnlessTaskIs(planner, task, ['pending', 'running']);
}

async function cancelTask(
  planner: PlanningWorkflow,
  { task: id, reason = PLANNER_TEXT.taskCancelled, ...how }: z.output<typeof CancelTask>,
): Promise<string> {
  if (how.handOff) {
    const until = Date.now() + how.graceMinutes * 60_000;
    planner.hear((state) => handOff(planner, state, id, { reason, until }));
    return PLANNER_TEXT.handingOff(id, how.graceMinutes);
  }
  const child = planner.state?.commands.cancelTask(id, reason);
  planner.hear(() => undefined);
  if (child !== undefined) await planner.children?.cancel(child);
  return PLANNER_TEXT.cancellingTask(id);
}

function refuseRetryTask(planner: PlanningWorkflow, { task }: RetryTask): void {
  refuseIf(preparedState(planner).commands.whyNotRetried(task));
}

function retryTask(planner: PlanningWorkflow, { task, text }: RetryTask): string {
  let ids: string[] = [];
  planner.hear((state) => (ids = state.commands.retry(task, text, Date.now())));
  return PLANNER_TEXT.retrying(ids);
}

function refuseReleaseTask(planner: PlanningWorkflow, { task }: ReleaseTask): void {
  refuseIf(preparedState(planner).commands.whyNotReleased(task));
}

function releaseTask(planner: PlanningWorkflow, { task, reason = '' }: ReleaseTask): string {
  let revived: string[] = [];
  planner.hear((state) => (revived = state.commands.release(task, reason, Date.now())));
  return PLANNER_TEXT.releasing(task, revived);
}

function addTask(planner: PlanningWorkflow, asked: z.output<typeof AddTask>): string {
  const spec = specOfAdded(asked, knownTasks(preparedState(planner).tasks));
  planner.hear((state) => state.commands.add(spec, Date.now()));
  return PLANNER_TEXT.added(spec.id);
}

function refuseAddTask(planner: PlanningWorkflow, asked: z.output<typeof AddTask>): void {
  const state = preparedState(planner);
  refuseIfClosing(state);
  const errors = whyNotAdded(asked, knownTasks(state.tasks), state.openSpecs(), divisionRules(planner));
  refuseUnless(errors.length === 0, PLANNER_TEXT.notAdded(errors));
}

function divisionRules({ position }: PlanningWorkflow): { scope: string[]; subtasks: number } | undefined {
  if (position?.division === undefined) return undefined;
  const { division }: RunSettings = position.context.settings;
  return { scope: position.division.task.scope, subtasks: division.subtasks };
}

function refuseSetLimits(planner: PlanningWorkflow, limits: SetLimits): void {
  const { commands } = preparedState(planner);
  // What a division may spend is reserved by the planner above it.
  refuseUnless(limits.budget === undefined || planner.position?.above.length === 0, PLANNER_TEXT.notLimited);
  refuseIf(commands.whyNotLimited(limits));
}

function setLimits(planner: PlanningWorkflow, limits: SetLimits): string {
  planner.hear((state) => state.commands.limit(limits));
  if (limits.maxWorkers !== undefined) tellBelow(planner, { kind: 'limits', maxWorkers: limits.maxWorkers });
  return PLANNER_TEXT.limited;
}

async function approve(
  { planning, approvals }: ListeningRun,
  { name, all }: z.output<typeof Approve>,
): Promise<string> {
  const desk = preparedState(planning).approvals;
  const named = all ? [...desk.waiting] : [desk.named(name)].filter((each) => typeof each !== 'string');
  for (const waiting of named) await approvals.decide(waiting, true, '');
  return PLANNER_TEXT.approved(named.map((each) => each.name));
}

async function reject({ planning, approvals }: ListeningRun, { name, reason }: Reject): Promise<string> {
  const waiting = preparedState(planning).approvals.named(name);
  if (typeof waiting === 'string') throw refused(waiting);
  await approvals.decide(waiting, false, reason);
  return PLANNER_TEXT.rejected(waiting.name);
}

function refuseDecision({ planning }: ListeningRun, { name, all = false }: Approve): void {
  const desk = preparedState(planning).approvals;
  if (all) return refuseUnless(desk.waiting.length > 0, PLANNER_TEXT.nothingWaits);
  const named = desk.named(name);
  if (typeof named === 'string') throw refused(named);
}

function refusePause({ planning }: ListeningRun): void {
  refuseUnless(planning.state !== undefined && planning.state.status.paused === undefined, PLANNER_TEXT.cannotPause);
  refuseUnless(!planning.isEnding, PLANNER_TEXT.ending);
}

function pause(run: ListeningRun, { reason = PLANNER_TEXT.pausedByPerson }: Pause): string {
  run.pause(reason);
  return PLANNER_TEXT.paused;
}

function refuseResume({ planning }: ListeningRun): void {
  refuseUnless(planning.state?.status.paused !== undefined, PLANNER_TEXT.notPaused);
}

function resume(run: ListeningRun): string {
  run.resume();
  return PLANNER_TEXT.resumed;
}

function refuseCancelRun({ planning }: ListeningRun): void {
  const { closing } = preparedState(planning).status;
  refuseUnless(closing?.by !== 'cancel', PLANNER_TEXT.closing(closing?.reason ?? ''));
}

/** In good order: agents hand off what there is, which takes calls of their models. */
async function cancelRun(run: ListeningRun, how: z.output<typeof CancelRun>): Promise<string> {
  const { reason = PLANNER_TEXT.cancelledBy, graceMinutes } = how;
  run.planning.stopPlanning();
  if (run.planning.state?.status.paused !== undefined) run.resume();
  giveUpAll(run.planning, reason, Date.now() + graceMinutes * 60_000);
  await run.approvals.rejectAll(reason);
  return PLANNER_TEXT.cancelling(graceMinutes);
}

function preparedState({ state, isEnding }: PlanningWorkflow): PlannerState {
  if (state === undefined) throw refused(PLANNER_TEXT.notPrepared);
  refuseUnless(!isEnding, PLANNER_TEXT.ending);
  return state;
}

function refuseIfClosing({ status: { closing } }: PlannerState): void {
  refuseUnless(closing === undefined, PLANNER_TEXT.closing(closing?.reason ?? ''));
}

function refuseUnlessTaskIs({ state }: PlanningWorkflow, id: string, statuses: readonly TaskStatus[]): void {
  const task = state?.table.find(id);
  if (task === undefined) throw refused(PLANNER_TEXT.noTask(id));
  refuseUnless(statuses.includes(task.status), PLANNER_TEXT.taskIs(id, standingOf(task)));
}
