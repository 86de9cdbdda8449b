import type { Budget, Spent } from '../contracts/budget.ts';
import { type Conflict, conflictWords } from '../contracts/conflict.ts';
import type { LostLines } from '../contracts/guard.ts';
import type { PushRefusal } from '../contracts/merge.ts';
import type { RunSnapshot } from '../contracts/snapshot.ts';
import type { StuckWorkflow } from '../contracts/stuck.ts';

const budgetWords = (total: Budget, spent: Spent): string =>
  [
    ...(total.tokens === undefined ? [] : [`${spent.tokens} of ${total.tokens} tokens`]),
    ...(total.usd === undefined ? [] : [`$${spent.usd.toFixed(2)} of $${total.usd.toFixed(2)}`]),
  ].join(', ');

const REFUSAL_REMEDY: Readonly<Record<PushRefusal, string>> = {
  protected:
    'The branch is protected: name another with --branch, set "deliver": "pull-request", or let the worker push.',
  rights: 'The worker may not push there: give its user the right to, or name another branch.',
  quota: 'It is too much for the host: raise the limit of the repository or of the request, or free some.',
  content: 'The host refuses something in this change (others were taken, or it says so): it has to be left out.',
  hook: 'A hook of the host says no: its words say why.',
  other: 'The words of the host say why.',
};

/** `a.ts: 2 lines of run/beta.1 (first line | second line)`, one file after the other. */
const lostWords = (lost: readonly LostLines[], more = 0): string =>
  lost
    .map(({ path, count, sample, from }) => {
      const whose = from.map(({ commit, task }) => task ?? commit.slice(0, 10)).join(', ');
      return `${path}: ${count} line${count === 1 ? '' : 's'}${whose === '' ? '' : ` of ${whose}`} (${sample.join(' | ')})`;
    })
    .join('; ')
    .slice(0, 2_000)
    .concat(more === 0 ? '' : `; and ${more} more files`);

/** As a shell takes it. */
export const terminateCommand = (workflowId: string, more = ''): string =>
  `temporal workflow terminate${more} --workflow-id ${/^[\w./#:@-]+$/.test(workflowId) ? workflowId : `'${workflowId.replaceAll("'", "'\\''")}'`} --reason stuck`;

/** What a run says of its tasks, to the planner's model and to people. */
export const RUN_TEXT = {
  notPlanned: 'what the spec asks for beyond these tasks: the planner had not said that it was planned to the end',
  furtherTasks: (count: number): string => `${count} further tasks`,
  greenBranch: 'a branch that passes its checks',
  stoppedAs: (status: string, branch: string): string =>
    branch === 'none' || branch === 'landed'
      ? `it was ${status} when the run ended`
      : `its branch was ${branch} when the run ended`,
  landed: (id: string, commit: string): string => `Task ${id} landed as ${commit.slice(0, 10)}.`,
  refusal: (reason: string, because: PushRefusal | undefined): string =>
    because === undefined ? reason : `${reason.slice(0, 1_500)}\n${REFUSAL_REMEDY[because]}`,
  lost: (lost: readonly LostLines[], more?: number): string =>
    `its landing removed what others had landed while it was made: ${lostWords(lost, more)}`,
  held: (lost: readonly LostLines[], more?: number): string =>
    `held, as it would remove what others have landed while it was made: ${lostWords(lost, more)}`,
  landedOver: (id: string, warning: string): string =>
    `Task ${id}: ${warning}. Look whether that is wanted; plan a task that brings it back if not.`,
  nothingLeft: (id: string): string => `Task ${id}: the branch already had all that it changed.`,
  fixAdded: (id: string, description: string): string =>
    `The checks of the branch fail; task ${id} mends that and goes first: ${(description.trim().split('\n', 1)[0] ?? '').slice(0, 200)} It is not to be planned again.`,
  retried: (id: string, attempt: number): string => `Task ${id} is tried again (attempt ${attempt}).`,
  failed: (id: string, attempts: number, reason: string): string =>
    `Task ${id} failed for good after ${attempts} attempt${attempts === 1 ? '' : 's'}: ${reason.slice(0, 500)}`,
  notDivided: (id: string): string => `Task ${id} was not worth dividing: one agent does it.`,
  blocked: (id: string): string => `Task ${id} is blocked; see its handoff. It is not tried again by itself.`,
  conflicted: (id: string, files: readonly string[], conflicts: readonly Conflict[] = [], more = 0): string => {
    const described = conflicts.slice(0, 10).map(conflictWords);
    const others = files.filter((file) => !conflicts.some(({ path }) => path === file)).slice(0, 10 - described.length);
    const left = Math.max(0, files.length - described.length - others.length) + more;
    const rest = left === 0 ? '' : ` and ${left} more files`;
    return `Task ${id} conflicts with what has landed in ${[...described, ...others].join(', ')}${rest}, and nobody could resolve it. Its work did not land.`;
  },
  ejected: (id: string, reason: string): string => `Task ${id} did not land: ${reason.slice(0, 1_500)}`,
  cancelled: (id: string, because: string): string =>
    `Task ${id} is cancelled: it depends on ${because}, which did not land.`,
  cancelledTask: (id: string, reason: string): string =>
    `People gave up task ${id} (${reason}): it is not to be planned again.`,
  retriedByPeople: (id: string, text: string | undefined, revived: readonly string[]): string =>
    `People have task ${id} tried again${text === undefined || text === '' ? '' : ` (${text.slice(0, 300)})`}` +
    `${revived.length === 0 ? '' : `, and what depends on it: ${revived.join(', ')}`}.`,
  released: (id: string, reason: string, revived: readonly string[]): string =>
    `People released task ${id}: its held work lands as it is${reason === '' ? '' : ` (${reason.slice(0, 300)})`}. It is not to be planned again` +
    `${revived.length === 0 ? '.' : `, and neither is what depends on it: ${revived.join(', ')}.`}`,
  addedByPeople: (id: string, description: string): string =>
    `People added task ${id}: ${description.slice(0, 500)} It is not to be planned again.`,
  planApproved: (ids: readonly string[], reason: string): string =>
    `People approved the tasks ${ids.join(', ')}${reason === '' ? '' : `: ${reason}`}.`,
  planRejected: (ids: readonly string[], reason: string): string =>
    `The plan of ${ids.join(', ')} is rejected; these tasks are cancelled. Plan otherwise. Why: ${reason}`,
  planAsked: (tasks: readonly { id: string; description: string }[]): string =>
    `${tasks.length} task${tasks.length === 1 ? '' : 's'}: ${tasks.map(({ id, description }) => `${id} (${(description.trim().split('\n', 1)[0] ?? '').slice(0, 80)})`).join(', ')}`,
  mergeAsked: (subject: string, files: readonly string[]): string =>
    `${subject}; ${files.length} file${files.length === 1 ? '' : 's'}: ${files.slice(0, 8).join(', ')}${files.length > 8 ? ', …' : ''}`,
  notApprovedInTime: (minutes: number): string =>
    `nobody decided on it within ${minutes} minutes, which is approval.rejectAfterMinutes`,
  budgetChanged: (total: Budget): string =>
    `People changed the budget: it is ${[...(total.usd === undefined ? [] : [`$${total.usd.toFixed(2)}`]), ...(total.tokens === undefined ? [] : [`${total.tokens} tokens`])].join(' and ')} now.`,
  budgetBack: 'There is budget again: plan anew what was cancelled for want of it.',
  handoffLeftOut: (id: string): string => `Task ${id} handed off; its handoff is left out, as there were too many.`,
  dependencyFailed: (because: string): string => `depends on ${because}, which did not land`,
  lostWhileQueued: (reason: string): string =>
    `its workflow ended while its branch waited to land (${reason}); it may have landed`,
  cutOff: 'its workflow was cancelled before it had handed off',
  cutOffQueued: 'its workflow was cancelled while its branch waited to land; it may have landed',
  mayBeQueued: 'its work could not be collected, and was perhaps queued before; it may land',
  noResult: 'its workflow ended without a result that can be read',
  endedAsStuck: 'its workflow task kept failing, so that it could not go on',
  stuckEnded: ({ type, workflowId, attempts, reason }: StuckWorkflow): string =>
    `The ${type} ${workflowId} could not go on and was terminated: its workflow task failed, at attempt ${attempts}: ${reason}`,
  stuckOver: ({ type, workflowId, reason }: StuckWorkflow, ms: number): string =>
    `The ${type} ${workflowId} could not go on for ${Math.max(1, Math.round(ms / 60_000))} min, as its workflow task failed (${reason}). It can again, or was ended.`,
  stuckStill: ({ type, workflowId, attempts, reason }: StuckWorkflow): string =>
    `The ${type} ${workflowId} cannot go on: its workflow task fails, at attempt ${attempts}: ${reason}. Run a worker with code that can, or end it: ${terminateCommand(workflowId)}`,
  endedLate: 'it was cancelled and did not end in time',
  neverEnded: (id: string): string => `"${id}" was cancelled and did not end in time; it was terminated.`,
  sweepTooLong: 'it was terminated, as the run ends and it did not',
  missing: 'its workflow is not on the server any more',
  nothingToPropose: (reason: string): string => `No pull request was opened: ${reason}`,
  notProposed: (target: string, into: string, reason: string): string =>
    `The work is on ${target}, but no pull request into ${into} could be opened or updated: ${reason.slice(0, 800)}`,
  notFinished: (reason: string): string =>
    `The run's refs on the remote could not be cleaned up, and the target was not read back: ${reason.slice(0, 500)}`,
  ancestorEnded: (id: string): string => `"${id}", which this division works for, has ended.`,
  cancelledByPerson: 'the run was cancelled',
  planningKeepsFailing: (times: number, reason: string): string =>
    `Planning failed ${times} times in a row, the last time: ${reason}`,
  tooLongAgain: 'the conversation got too long, and again when it was begun anew from the scratchpad',
  planningRefused: (reason: string): string => `The models refuse the planner's conversation: ${reason}`,
  modelUnusable: (reason: string): string => `No model can be used: ${reason}`,
  budgetNear: (total: Budget, spent: Spent): string =>
    `The budget is nearly spent: ${budgetWords(total, spent)}. Plan only what matters most, in few and small tasks.`,
  budgetSpent: (total: Budget, spent: Spent): string => `the budget is spent: ${budgetWords(total, spent)}`,
  noSpec: 'The input of this run has no spec.',
  nameSpec: 'Name a file of the repository as the spec, give its text, or set mode to "reconcile".',
  reconcileSpec: 'Make the checks of this repository pass: build, types, tests.',
  notGreen: (target: string, verdict: string): string => `the checks of ${target} do not pass: ${verdict}`,
  notShown: (target: string, reason: string): string => `whether ${target} passes its checks is not known: ${reason}`,
  noChecks: 'no checks are configured, and none were detected. Name some in agentswarm.json, as "checks".',
  emptyPlan:
    'The plan has no tasks, is not done, and nothing is under way: the run would stand still. Add tasks or set done.',
  refused: (target: string, reason: string): string => `The remote refuses pushes to ${target}: ${reason}`,
} as const;

const list = (names: readonly string[]): string =>
  `${names.slice(0, 20).join(', ')}${names.length > 20 ? ` and ${names.length - 20} more` : ''}`;

/** What a planner answers to people, and shows in Temporal's Web UI. */
export const PLANNER_TEXT = {
  steered: 'Noted. The planner reads it in its next round; tasks that start from now on are told too.',
  delivered: (id: string): string => `Told to ${id}: it is read before the next call of its model.`,
  notTold: (id: string, why: string): string => `Task ${id} could not be told: ${why}.`,
  noTask: (id: string): string => `There is no task "${id}" here.`,
  taskIs: (id: string, standing: string): string => `Task ${id} is ${standing}: it is too late for that, or too early.`,
  notUnderstood: (update: string, issues: string): string => `What ${update} was given is not usable:\n${issues}`,
  notLost: (id: string, standing: string): string =>
    `Task ${id} is ${standing}: only what failed, was cancelled or did not land is tried again.`,
  forgotten: (id: string): string =>
    `What task ${id} was to do is not kept any more, as many were given up since. Add it anew: \`agentswarm add\`.`,
  dependsOnLost: (id: string, lost: string): string =>
    `Task ${id} depends on ${lost}, which did not land: try ${lost} again, and ${id} comes with it.`,
  saidWithRetry: (text: string): string => `The people who run this say: ${text}`,
  retrying: (ids: readonly string[]): string => `Tried again: ${ids.join(', ')}.`,
  notHeld: (id: string, standing: string): string =>
    `Task ${id} is ${standing}, and no guard holds work of it: there is nothing to release.`,
  releasing: (id: string, revived: readonly string[]): string =>
    `Released: the work of ${id} is on its way to the merge queue as it is.` +
    `${revived.length === 0 ? '' : ` What was cancelled because of it is done too: ${revived.join(', ')}.`}`,
  notAdded: (errors: readonly string[]): string =>
    `The task cannot be added:\n${errors.map((e) => `- ${e}`).join('\n')}`,
  added: (id: string): string => `Task ${id} is added; it starts as soon as it can.`,
  closing: (reason: string): string => `Nothing is begun any more: ${reason}.`,
  spentAlready: (spent: Spent): string =>
    `More than that is spent already: ${spent.tokens} tokens, $${spent.usd.toFixed(2)}. To begin nothing more, use finish or cancel.`,
  notLimited:
    'This run has no budget of that kind below its root, or it is held by the planner above: change that of the run.',
  limited: 'The limits are changed.',
  cancelling: (minutes: number): string =>
    `Nothing more is begun. Running agents are told to hand off and have ${minutes} minutes; what waits to land lands, then the run ends.`,
  handingOff: (id: string, minutes: number): string =>
    `Task ${id} is told to hand off what there is and has ${minutes} minutes; it is not tried again.`,
  cancelledBy: 'a person cancelled it',
  nothingWaits: 'Nothing waits for approval.',
  severalWait: (names: readonly string[]): string => `Several things wait for approval, name one: ${list(names)}.`,
  waitsNot: (name: string, names: readonly string[]): string =>
    `"${name}" does not wait for approval; this does: ${list(names)}.`,
  approved: (names: readonly string[]): string => `Approved: ${list(names)}.`,
  rejected: (name: string): string => `Rejected: ${name}.`,
  planRejected: (reason: string): string => `a person rejected its plan: ${reason}`,
  mergeRejected: (reason: string): string => `a person rejected its landing: ${reason}`,
  taskCancelled: 'a person cancelled it',
  cancellingTask: (id: string): string => `Task ${id} is cancelled, with all below it; its work is not landed.`,
  finishedByPerson: 'a person finished it early',
  finishing: 'Nothing more is begun. What is under way lands, then the run ends.',
  notPrepared: 'The run is not prepared yet.',
  ending: 'The run is at its end: it hears nothing any more.',
  pausedByPerson: 'a person paused it',
  paused: 'Paused. Calls in flight end; nothing new is started until it is resumed.',
  cannotPause: 'The run is paused already, or not prepared yet.',
  resumed: 'Resumed.',
  notPaused: 'The run is not paused.',
  details: (snapshot: RunSnapshot): string => {
    const { counts, scratchpad } = snapshot;
    const rows = snapshot.tasks.map(
      ({ id, status, branch, attempts }) => `| ${id} | ${status} | ${branch} | ${attempts} |`,
    );
    return [
      `**${snapshot.phase}**${snapshot.paused === undefined ? '' : ` (paused: ${snapshot.paused.reason})`}; waits for ${snapshot.waitingFor}`,
      `${counts.running + counts.assigned} at work, ${counts.pending} pending, ${snapshot.queued} to land, ${snapshot.landed} landed`,
      `### Scratchpad\n**Goals** ${scratchpad.goals}\n\n**State** ${scratchpad.state}\n\n**Reasoning** ${scratchpad.reasoning}\n\n**Intelligence** ${scratchpad.intelligence}`,
      ['| task | status | branch | attempt |', '|---|---|---|---|', ...rows.slice(-100)].join('\n'),
    ]
      .join('\n\n')
      .slice(0, 18_000);
  },
} as const;
