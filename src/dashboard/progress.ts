/** What a person sees of a run that goes on: a block of lines, and what has happened since. Pure. */
import { MODEL_WAIT_EVERY_MS } from '../shared/contracts/model-wait.ts';
import type { TaskReport } from '../shared/contracts/run.ts';
import type { RunSnapshot } from '../shared/contracts/snapshot.ts';
import type { SeenStuck, StuckWorkflow } from '../shared/contracts/stuck.ts';
import { terminateCommand } from '../shared/planner/text.ts';
import { formatBudget, formatCount, formatDuration, formatUsd, oneLine } from './format.ts';
import { endpointText, eventText, HELD_WORD, PHASE_WORD, progressText, STATUS_WORD } from './text.ts';

/** Most tasks that are named in the block. */
const NAMED_TASKS = 8;

/**
 * The block. `now` in ms since the epoch, `width` in characters: no line is longer. `server`: arguments of Temporal's
 * command that name the server, where it is not the one that it finds by itself.
 */
export function progressLines(
  snapshot: RunSnapshot,
  { now, width, server = '' }: { now: number; width: number; server?: string },
): string[] {
  const elapsed = formatDuration(now - snapshot.startedAt);
  const rows = [progressText.head(snapshot.run, PHASE_WORD[snapshot.phase], elapsed)];
  if (snapshot.paused !== undefined) rows.push(progressText.paused(snapshot.paused.reason));
  const model = modelLine(snapshot, now);
  if (model !== null) rows.push(model);
  rows.push(countsLine(snapshot.counts));
  rows.push(progressText.landing(snapshot.landed, snapshot.queued, snapshot.target));
  rows.push(costLine(snapshot));
  if (snapshot.budget !== undefined) rows.push(progressText.budget(formatBudget(snapshot.budget)));
  rows.push(...stuckLines(snapshot.stuck ?? [], now, server));
  if (snapshot.waitingFor !== '') rows.push(progressText.waiting(snapshot.waitingFor));
  for (const { name, kind, text } of (snapshot.approvals ?? []).slice(0, NAMED_TASKS)) {
    rows.push(progressText.approval(name, kind, oneLine(text, 200)));
  }
  for (const { id, held } of snapshot.tasks.filter(({ held }) => held !== undefined).slice(0, NAMED_TASKS)) {
    if (held !== undefined) rows.push(progressText.held(snapshot.run, id, HELD_WORD[held]));
  }
  const running = snapshot.tasks.filter((task) => task.status === 'running' || task.status === 'assigned');
  for (const task of running.slice(0, NAMED_TASKS)) {
    rows.push(progressText.runningTask(task.id, task.attempts, firstLine(task.description)));
  }
  if (running.length > NAMED_TASKS) rows.push(progressText.more(running.length - NAMED_TASKS));
  if (snapshot.unsafe) rows.push(progressText.unsafe);
  return rows.map((line) => clip(line, width));
}

/**
 * What cannot go on, with what a person can do.
 * @param more further arguments of Temporal's command: where the server is.
 */
export function stuckLines(stuck: readonly (StuckWorkflow & Partial<SeenStuck>)[], now: number, more = ''): string[] {
  const named = stuck
    .slice(0, NAMED_TASKS)
    .flatMap(({ type, workflowId, attempts, reason, endsAt }) => [
      progressText.stuck(type, workflowId, attempts, oneLine(reason, 200)),
      progressText.unstick(
        terminateCommand(workflowId, more),
        endsAt === undefined ? null : formatDuration(Math.max(0, endsAt - now)),
      ),
    ]);
  return stuck.length > NAMED_TASKS ? [...named, progressText.more(stuck.length - NAMED_TASKS)] : named;
}

/** null: no call waits, as far as is known now. Also for who looks at the run's workers themselves. */
export function modelLine({ waitingForModel }: RunSnapshot, now: number): string | null {
  if (waitingForModel === undefined || now - waitingForModel.heardAt > 2 * MODEL_WAIT_EVERY_MS) return null;
  const { calls, since, why } = waitingForModel;
  const age = formatDuration(now - since);
  return endpointText.waiting(calls, new Date(since).toISOString(), age, oneLine(why, 200));
}

/** One line with the figures, for logs and pipes. */
export function summaryLine(snapshot: RunSnapshot, now: number): string {
  return [
    progressText.head(snapshot.run, PHASE_WORD[snapshot.phase], formatDuration(now - snapshot.startedAt)),
    countsLine(snapshot.counts),
    progressText.landing(snapshot.landed, snapshot.queued, snapshot.target),
    costLine(snapshot),
  ]
    .map((part) => part.replace(/ {2,}/g, ' '))
    .join('; ');
}

/** What has happened between two snapshots, in the order of the tasks; from null: since the run's start. */
export function eventLines(before: RunSnapshot | null, after: RunSnapshot): string[] {
  const rows: string[] = [];
  const notes = new Set(before?.notes);
  for (const note of after.notes) if (!notes.has(note)) rows.push(eventText.note(oneLine(note, 400)));
  if (before?.phase !== after.phase) rows.push(eventText.phase(PHASE_WORD[after.phase]));
  if (after.replans > (before?.replans ?? 0)) rows.push(eventText.replanned(after.replans));
  const known = new Map(before?.tasks.map((task) => [task.id, task]));
  for (const task of after.tasks) rows.push(...taskEvents(known.get(task.id), task, after.run));
  const asked = new Set(before?.approvals?.map(({ name, since }) => `${name} ${since}`));
  for (const { name, since, kind, text } of after.approvals ?? []) {
    if (!asked.has(`${name} ${since}`)) rows.push(eventText.asked(after.run, name, kind, oneLine(text, 400)));
  }
  const stuck = new Set(before?.stuck?.map(({ runId }) => runId));
  for (const { runId, type, workflowId, reason } of after.stuck ?? []) {
    if (!stuck.has(runId))
      rows.push(eventText.stuck(type, workflowId, oneLine(reason, 300), terminateCommand(workflowId)));
  }
  if (after.paused !== undefined && before?.paused?.since !== after.paused.since) {
    rows.push(eventText.paused(oneLine(after.paused.reason, 400)));
  }
  if (after.paused === undefined && before?.paused !== undefined) rows.push(eventText.resumed);
  if (after.waitingForModel !== undefined && before?.waitingForModel === undefined) {
    rows.push(eventText.waitsForModel(oneLine(after.waitingForModel.why, 400)));
  }
  if (after.waitingForModel === undefined && before?.waitingForModel !== undefined) rows.push(eventText.hasModel);
  return rows;
}

function taskEvents(before: TaskReport | undefined, after: TaskReport, run: string): string[] {
  const rows: string[] = [];
  if (before === undefined) rows.push(eventText.planned(after.id, firstLine(after.description)));
  const released = before?.released === undefined && after.released !== undefined;
  if (released) rows.push(eventText.released(after.id));
  if ((before?.attempts ?? 0) < after.attempts && !released) {
    // Between two looks a task may fail and be tried again: the failure is told all the same.
    if (before !== undefined && before.attempts > 0 && before.status !== 'failed')
      rows.push(eventText.retried(after.id));
    if (after.attempts > 0) rows.push(eventText.started(after.id, after.attempts));
  }
  if ((before?.status ?? 'pending') !== after.status && !(released && after.status === 'pending')) {
    rows.push(...statusEvent(after));
  }
  if ((before?.conflicts ?? 0) < after.conflicts) rows.push(eventText.conflicted(after.id));
  if ((before?.branch ?? 'none') !== after.branch) rows.push(...branchEvent(after));
  if (before?.held === undefined && after.held !== undefined) rows.push(eventText.held(run, after.id));
  return rows;
}

function statusEvent(task: TaskReport): string[] {
  switch (task.status) {
    case 'pending':
      return [eventText.retried(task.id)];
    case 'assigned':
    case 'running':
      return [];
    case 'complete':
      return [eventText.complete(task.id)];
    case 'failed':
      return [eventText.failed(task.id, reasonOf(task))];
    case 'cancelled':
      return [eventText.cancelled(task.id)];
  }
}

function branchEvent(task: TaskReport): string[] {
  switch (task.branch) {
    case 'none':
    case 'conflicted':
      return [];
    case 'queued':
      return [eventText.queued(task.id)];
    case 'landed':
      return [eventText.landed(task.id, task.commit)];
    case 'ejected':
      return [eventText.ejected(task.id, reasonOf(task))];
  }
}

const reasonOf = (task: TaskReport): string | undefined =>
  task.reason === undefined ? undefined : oneLine(task.reason, 300);

const firstLine = (text: string): string => oneLine(text.trim().split('\n', 1)[0] ?? '', 100);

function countsLine(counts: RunSnapshot['counts']): string {
  const parts = (Object.keys(STATUS_WORD) as TaskReport['status'][])
    .filter((status) => counts[status] > 0)
    .map((status) => `${counts[status]} ${STATUS_WORD[status]}`);
  return parts.length === 0 ? progressText.noTasks : progressText.tasks(parts.join(', '));
}

const costLine = (snapshot: RunSnapshot): string =>
  progressText.cost(
    formatCount(snapshot.inputTokens),
    formatCount(snapshot.outputTokens),
    formatUsd(snapshot.costUsd),
    snapshot.replans,
  );

/** As oneLine, but spaces that align the block stay. */
function clip(line: string, width: number): string {
  const characters = [...line.replace(/\p{C}/gu, ' ')];
  return characters.length <= width ? characters.join('') : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`;
}
