/** The report of a run as text (which reads as Markdown, too). Pure. */
import type { RunReport, TaskReport } from '../shared/contracts/run.ts';
import { formatBudget, formatCount, formatDuration, formatUsd, oneLine, printable, shellWord } from './format.ts';
import { SWEEP_TEXT } from '../shared/reconciler/text.ts';
import { reportText, RUN_STATUS_WORD, STATUS_WORD, UNSAFE } from './text.ts';

export type ReportLinks = {
  /** The run's page in the Temporal Web UI, where there is one. */
  uiLink?: string;
  /** The command that must run for `uiLink` to lead anywhere, when the server ends with this one. */
  uiCommand?: string;
};

/** Ends without a line break. */
export function renderReport(report: RunReport, links: ReportLinks = {}): string {
  return [
    `# ${reportText.title(report.run, RUN_STATUS_WORD[report.status])}`,
    ...(report.reason === undefined ? [] : ['', reportText.reason(printable(report.reason))]),
    ...(report.unsafe ? ['', `**${UNSAFE}**`] : []),
    ...section(reportText.tasks, report.tasks.length === 0 ? [reportText.noTasks] : report.tasks.flatMap(taskLines)),
    ...(report.undone === undefined || report.undone.length === 0
      ? []
      : section(
          reportText.notDone,
          report.undone.map(({ what, why }) => oneLine(why === '' ? what : `${what} (${why})`, 600)),
        )),
    ...section(reportText.numbers, numbers(report)),
    ...section(reportText.where, where(report, links)),
    ...(report.notes.length === 0
      ? []
      : section(
          reportText.notes,
          report.notes.map((note) => oneLine(note, 1_000)),
        )),
  ].join('\n');
}

const section = (title: string, rows: readonly string[]): string[] => [
  '',
  `## ${title}`,
  '',
  ...rows.map((l) => `- ${l}`),
];

/** A task, and below it all that it was divided into, by their paths. */
const taskLines = (task: TaskReport): string[] => [
  taskLine(task),
  ...(task.subtasks ?? []).map((below) => taskLine({ ...below, id: `${task.id}/${below.id}` })),
];

function taskLine(task: TaskReport): string {
  const parts = [`${task.id}: ${STATUS_WORD[task.status]}`, fate(task)];
  if (task.released !== undefined) parts.push(reportText.released(oneLine(task.released, 200)));
  if (task.attempts > 1) parts.push(reportText.attempts(task.attempts));
  if (task.conflicts > 0) parts.push(reportText.conflicts(task.conflicts));
  if (task.criteria !== undefined) parts.push(reportText.criteria(task.criteria.met, task.criteria.of));
  if (task.tokens !== undefined) parts.push(usedBy(task));
  const about = `${parts.join(', ')}: ${oneLine(task.description.trim().split('\n', 1)[0] ?? '', 80)}`;
  const line = task.warning === undefined ? about : `${about} (${reportText.warning(oneLine(task.warning, 600))})`;
  const why = task.reason === undefined || task.branch === 'landed' ? line : `${line} (${oneLine(task.reason, 300)})`;
  const replaced = task.successor === undefined ? why : `${why}; ${reportText.successor(task.successor)}`;
  const concerns = (task.concerns ?? []).map((concern) => `\n  - ${oneLine(concern, 300)}`);
  return `${replaced}${concerns.join('')}`;
}

const usedBy = ({ tokens = 0, costUsd = 0, durationMs = 0 }: TaskReport): string =>
  reportText.used(formatCount(tokens), formatUsd(costUsd), formatDuration(durationMs));

function fate(task: TaskReport): string {
  if (task.subtasks !== undefined && task.branch === 'none') return reportText.divided(task.subtasks.length);
  if (task.branch === 'landed' && task.commit !== undefined) return reportText.landed(task.commit.slice(0, 12));
  return task.ref === undefined ? reportText.notLanded : reportText.kept(task.ref);
}

/** Tasks that were divided count as what they were divided into. */
const pieces = (tasks: readonly TaskReport[]): number =>
  tasks.reduce((sum, { subtasks = [] }) => sum + (subtasks.length === 0 ? 1 : subtasks.length), 0);

const numbers = (report: RunReport): string[] => [
  reportText.landedOf(report.landed, pieces(report.tasks)),
  reportText.rounds(report.replans, report.retries, report.conflicts, report.peakParallel),
  ...(report.green === undefined ? [] : [reportText.green(SWEEP_TEXT.verdict(report.green), report.green.heals)]),
  reportText.tokens(
    formatCount(report.inputTokens),
    formatCount(report.cachedInputTokens),
    formatCount(report.outputTokens),
    formatUsd(report.costUsd),
  ),
  ...(report.budget === undefined ? [] : [reportText.budget(formatBudget(report.budget))]),
  reportText.wall(formatDuration(report.endedAt - report.startedAt)),
];

const where = (report: RunReport, { uiLink, uiCommand }: ReportLinks): string[] => [
  reportText.repo(report.repo, report.target),
  report.tip === undefined ? reportText.noTip(report.base) : reportText.range(report.base, report.tip),
  ...(report.pullRequest === undefined ? [] : [reportText.pullRequest(report.pullRequest)]),
  reportText.clone(`git clone --branch ${shellWord(report.target)} ${shellWord(report.repo)}`),
  ...(uiLink === undefined
    ? []
    : [uiCommand === undefined ? reportText.ui(uiLink) : reportText.uiLater(uiLink, uiCommand)]),
];
