import type { Budget, Spent } from './contracts/budget.ts';
import type { LostLines } from './contracts/guard.ts';
import type { RunSnapshot } from './contracts/snapshot.ts';

const budgetWords = (total: Budget, spent: Spent): string =>
  [
    ...(total.tokens === undefined ? [] : [`${spent.tokens} of ${total.tokens} tokens`]),
    ...(total.usd === undefined ? [] : [`$${spent.usd.toFixed(2)} of $${total.usd.toFixed(2)}`]),
  ].join(', ');

/** `a.ts: 2 lines of run/beta.1 (first line | second line)`, one file after the other. */
const lostWords = (lost: readonly LostLines[]): string =>
  lost
    .map(({ path, count, sample, from }) => {
      const whose = from.map(({ commit, task }) => task ?? commit.slice(0, 10)).join(', ');
      return `${path}: ${count} line${count === 1 ? '' : 's'}${whose === '' ? '' : ` of ${whose}`} (${sample.join(' | ')})`;
    })
    .join('; ')
    .slice(0, 2_000);

/** What a run says of its tasks, to the planner's model and to people. */
export const RUN_TEXT = {
  landed: (id: string, commit: string): string => `Task ${id} landed as ${commit.slice(0, 10)}.`,
  lost: (lost: readonly LostLines[]): string =>
    `its landing removed what others had landed while it was made: ${lostWords(lost)}`,
  held: (lost: readonly LostLines[]): string =>
    `held, as it would remove what others have landed while it was made: ${lostWords(lost)}`,
  landedOver: (id: string, warning: string): string =>
    `Task ${id}: ${warning}. Look whether that is wanted; plan a task that brings it back if not.`,
  nothingLeft: (id: string): string => `Task ${id}: the branch already had all that it changed.`,
  retried: (id: string, attempt: number): string => `Task ${id} is tried again (attempt ${attempt}).`,
  failed: (id: string, attempts: number, reason: string): string =>
    `Task ${id} failed for good after ${attempts} attempt${attempts === 1 ? '' : 's'}: ${reason.slice(0, 500)}`,
  notDivided: (id: string): string => `Task ${id} was not worth dividing: one agent does it.`,
  blocked: (id: string): string => `Task ${id} is blocked; see its handoff. It is not tried again by itself.`,
  conflicted: (id: string, files: readonly string[]): string =>
    `Task ${id} conflicts with what has landed in ${files.slice(0, 10).join(', ')}, and nobody could resolve it. Its work did not land.`,
  ejected: (id: string, reason: string): string => `Task ${id} did not land: ${reason.slice(0, 500)}`,
  cancelled: (id: string, because: string): string =>
    `Task ${id} is cancelled: it depends on ${because}, which did not land.`,
  cancelledTask: (id: string, reason: string): string =>
    `People gave up task ${id} (${reason}): it is not to be planned again.`,
  handoffLeftOut: (id: string): string => `Task ${id} handed off; its handoff is left out, as there were too many.`,
  dependencyFailed: (because: string): string => `depends on ${because}, which did not land`,
  lostWhileQueued: (reason: string): string =>
    `its workflow ended while its branch waited to land (${reason}); it may have landed`,
  noResult: 'its workflow ended without a result that can be read',
  missing: 'its workflow is not on the server any more',
  notFinished: (reason: string): string =>
    `The run's refs on the remote could not be cleaned up, and the target was not read back: ${reason.slice(0, 500)}`,
  ancestorEnded: (id: string): string => `"${id}", which this division works for, has ended.`,
  cancelledByPerson: 'the run was cancelled',
  planningKeepsFailing: (times: number, reason: string): string =>
    `Planning failed ${times} times in a row, the last time: ${reason}`,
  modelUnusable: (reason: string): string => `No model can be used: ${reason}`,
  budgetNear: (total: Budget, spent: Spent): string =>
    `The budget is nearly spent: ${budgetWords(total, spent)}. Plan only what matters most, in few and small tasks.`,
  budgetSpent: (total: Budget, spent: Spent): string => `the budget is spent: ${budgetWords(total, spent)}`,
  emptyPlan:
    'The plan has no tasks, is not done, and nothing is under way: the run would stand still. Add tasks or set done.',
  refused: (target: string, reason: string): string => `The remote refuses pushes to ${target}: ${reason}`,
} as const;

/** What a planner answers to people, and shows in Temporal's Web UI. */
export const PLANNER_TEXT = {
  steered: 'Noted. The planner reads it in its next round; tasks that start from now on are told too.',
  told: (id: string): string => `Told to ${id}: it is read before the next call of its model.`,
  notTold: (id: string, why: string): string => `Task ${id} could not be told: ${why}.`,
  noTask: (id: string): string => `There is no task "${id}" here.`,
  taskIs: (id: string, standing: string): string => `Task ${id} is ${standing}: it is too late for that, or too early.`,
  cancelWhat: 'cancelTask takes a task, and a reason or none: {"task": "…", "reason": "…"}',
  taskCancelled: 'a person cancelled it',
  cancellingTask: (id: string): string => `Task ${id} is cancelled, with all below it; its work is not landed.`,
  finishedByPerson: 'a person finished it early',
  finishing: 'Nothing more is begun. What is under way lands, then the run ends.',
  notPrepared: 'The run is not prepared yet.',
  tooLong: (chars: number): string => `At most ${chars} characters: put longer texts into the repository.`,
  ending: 'The run is at its end: it hears nothing any more.',
  pauseWhat: 'pause takes a reason or nothing: {"reason": "…"}',
  steerWhat: 'steer needs a text: {"text": "…"}',
  pausedByPerson: 'a person paused it',
  paused: 'Paused. Calls in flight end; nothing new is started until it is resumed.',
  cannotPause: 'The run is paused already, or not prepared yet.',
  resumed: 'Resumed.',
  notPaused: 'The run is not paused.',
  details: (snapshot: RunSnapshot): string => {
    const { counts, scratchpad } = snapshot;
    const lines = snapshot.tasks.map(
      ({ id, status, branch, attempts }) => `| ${id} | ${status} | ${branch} | ${attempts} |`,
    );
    return [
      `**${snapshot.phase}**${snapshot.paused === undefined ? '' : ` (paused: ${snapshot.paused.reason})`}; waits for ${snapshot.waitingFor}`,
      `${counts.running + counts.assigned} at work, ${counts.pending} pending, ${snapshot.queued} to land, ${snapshot.landed} landed`,
      `### Scratchpad\n**Goals** ${scratchpad.goals}\n\n**State** ${scratchpad.state}\n\n**Reasoning** ${scratchpad.reasoning}\n\n**Intelligence** ${scratchpad.intelligence}`,
      ['| task | status | branch | attempt |', '|---|---|---|---|', ...lines.slice(-100)].join('\n'),
    ]
      .join('\n\n')
      .slice(0, 18_000);
  },
} as const;
