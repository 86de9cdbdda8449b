/** A run's state as people see it: the snapshot while it goes on, the report at its end. Pure. */
import type { Green } from '../../shared/contracts/green.ts';
import type { PreparedRun, RunContext, RunReport, TaskReport } from '../../shared/contracts/run.ts';
import type { Phase, RunSnapshot } from '../../shared/contracts/snapshot.ts';
import { undone } from '../../shared/planner/successors.ts';
import { RUN_TEXT } from '../../shared/planner/text.ts';
import type { PlannerState } from './state/planner-state.ts';
import { noticeOf } from './state/approvals.ts';
import { countTasks, landedWork, reportTasks } from './state/task-record.ts';

/** As many as a person can look through. */
const MAX_APPROVALS = 100;

export function snapshotOfRun(run: {
  run: string;
  phase: Phase;
  planning: boolean;
  repo: string;
  context: RunContext | undefined;
  notes: string[];
  unsafe: boolean;
  state: PlannerState | undefined;
  startedAt: number;
  /** Only so many tasks are listed; all are counted. */
  newest?: number | undefined;
}): RunSnapshot {
  const { state, context } = run;
  const counts = state === undefined ? undefined : countTasks(state.tasks);
  const { landed = 0, queued = 0 } = counts ?? {};
  return {
    run: run.run,
    phase: run.phase,
    ...(state?.status.paused === undefined ? {} : { paused: state.status.paused }),
    repo: context?.repo.location ?? run.repo,
    target: context?.target ?? '',
    waitingFor: waitingFor(run),
    tasks: reportTasks(run.newest === undefined ? (state?.tasks ?? []) : (state?.tasks.slice(-run.newest) ?? [])),
    counts: {
      pending: counts?.pending ?? 0,
      assigned: counts?.assigned ?? 0,
      running: counts?.running ?? 0,
      complete: counts?.complete ?? 0,
      failed: counts?.failed ?? 0,
      cancelled: counts?.cancelled ?? 0,
    },
    landed,
    queued,
    replans: Math.max(0, (state?.plan.rounds ?? 0) - 1),
    inputTokens: state?.budget.metrics.inputTokens ?? 0,
    outputTokens: state?.budget.metrics.outputTokens ?? 0,
    costUsd: state?.budget.metrics.costUsd ?? 0,
    startedAt: run.startedAt,
    scratchpad: state?.plan.scratchpad ?? { goals: '', state: '', reasoning: '', intelligence: '' },
    notes: run.notes,
    unsafe: run.unsafe,
    ...(state?.budget.limitedTo === undefined ? {} : { budget: state.budget.limitedTo }),
    ...approvalsOf(state),
    ...(state === undefined || state.stuck.seen.length === 0 ? {} : { stuck: [...state.stuck.seen] }),
  };
}

function approvalsOf(state: PlannerState | undefined): Pick<RunSnapshot, 'approvals'> {
  const waiting = state?.approvals.waiting ?? [];
  return waiting.length === 0 ? {} : { approvals: waiting.slice(0, MAX_APPROVALS).map(noticeOf) };
}

function waitingFor({ state, phase, planning }: Parameters<typeof snapshotOfRun>[0]): string {
  if (phase === 'done') return 'nothing: the run has ended';
  if (state === undefined) return 'the repository: it is being fetched and checked';
  const { paused } = state.status;
  if (paused !== undefined) return `a person: paused because ${paused.reason}`;
  const { active, queued, pending } = state.planningInput();
  const asked = state.approvals.waiting.length;
  const stuck = state.stuck.seen.length;
  const parts = [
    asked > 0 ? `a person: ${asked} approval${asked === 1 ? '' : 's'}` : '',
    planning ? 'the plan' : '',
    active > 0 ? `${active} task${active === 1 ? '' : 's'} at work` : '',
    queued > 0 ? `${queued} branch${queued === 1 ? '' : 'es'} to land` : '',
    pending > 0 ? `${pending} pending task${pending === 1 ? '' : 's'}` : '',
    stuck > 0 ? `${stuck} workflow${stuck === 1 ? '' : 's'} that cannot go on` : '',
  ];
  return parts.filter((part) => part !== '').join(', ') || 'its end';
}

export function reportOf(run: {
  state: PlannerState;
  prepared: PreparedRun;
  startedAt: number;
  endedAt: number;
  /** The newest sweep, and why that is not as it should be. */
  green?: Green | undefined;
  notGreen?: string | undefined;
  tip: string | null;
}): RunReport {
  const { state, prepared } = run;
  const { context, notes, unsafe } = prepared;
  const tasks = reportTasks(state.tasks);
  const landed = landedWork(state.tasks);
  const { retries, conflicts, peak } = state.table.totals;
  const { refused, closing } = state.status;
  // A fix that did not land is moot where the branch passes all the same.
  const moot = new Set(
    run.green?.verdict === 'green' ? state.tasks.flatMap(({ fix, spec }) => (fix === true ? [spec.id] : [])) : [],
  );
  const open = undone(tasks).filter(({ id }) => !moot.has(id));
  const reason =
    refused !== undefined
      ? RUN_TEXT.refused(context.target, refused)
      : closing !== undefined
        ? `${closing.reason}; not done: ${open.map(({ id }) => id).join(', ') || 'what was not planned'}`
        : open.length > 0
          ? `not landed: ${open.map(({ id }) => id).join(', ')}`
          : run.notGreen;
  return {
    run: context.root.workflowId,
    status:
      refused !== undefined
        ? 'failed'
        : open.length > 0 || closing !== undefined || run.notGreen !== undefined
          ? closing?.by === 'cancel'
            ? 'cancelled'
            : 'incomplete'
          : 'complete',
    ...(reason === undefined ? {} : { reason }),
    repo: context.repo.location,
    target: context.target,
    base: context.base,
    ...(run.tip === null ? {} : { tip: run.tip }),
    ...(run.green === undefined ? {} : { green: run.green }),
    tasks,
    landed,
    replans: Math.max(0, state.plan.rounds - 1),
    retries,
    conflicts,
    peakParallel: peak,
    inputTokens: state.budget.metrics.inputTokens,
    cachedInputTokens: state.budget.metrics.cachedInputTokens,
    outputTokens: state.budget.metrics.outputTokens,
    costUsd: state.budget.metrics.costUsd,
    startedAt: run.startedAt,
    endedAt: run.endedAt,
    notes: [...notes, ...state.stuck.seen.map(RUN_TEXT.stuckStill)],
    unsafe,
    undone: notDone(open, state, run.notGreen),
    ...(state.budget.limitedTo === undefined ? {} : { budget: state.budget.limitedTo }),
  };
}

/** Of very many open tasks the first are named. */
const MAX_UNDONE = 200;
const WHY_CHARS = 500;

function notDone(open: readonly TaskReport[], state: PlannerState, notGreen: string | undefined): RunReport['undone'] {
  const { refused, closing } = state.status;
  const planned = state.plan.isDone ? [] : [{ what: RUN_TEXT.notPlanned, why: closing?.reason ?? refused ?? '' }];
  return [
    ...open.slice(0, MAX_UNDONE).map(({ id, description, status, branch, reason }) => ({
      what: `${id}: ${description.split('\n', 1)[0] ?? ''}`.slice(0, WHY_CHARS),
      why: (reason ?? RUN_TEXT.stoppedAs(status, branch)).slice(0, WHY_CHARS),
    })),
    ...(open.length > MAX_UNDONE ? [{ what: RUN_TEXT.furtherTasks(open.length - MAX_UNDONE), why: '' }] : []),
    ...planned.filter(({ why }) => why !== ''),
    ...(notGreen === undefined ? [] : [{ what: RUN_TEXT.greenBranch, why: notGreen }]),
  ];
}
