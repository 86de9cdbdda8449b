/** What people read of a merge queue and its gate. Pure. */
import type { CheckRun, ChecksResult } from '../contracts/checks.ts';
import type { Freeze } from '../contracts/gate.ts';

/** Of all failing checks together: it is carried, told to the planner, and kept in the report. */
const REPORT_CHARS = 3_000;
const MAX_ERRORS = 8;
/** The error is to be seen also where only the beginning is. */
const MAX_COMMAND = 120;
const TAIL_CHARS = 1_500;

export const MERGE_TEXT = {
  frozen: (target: string): string =>
    `Nothing lands on ${target} any more until it is thawed; what is pushed already stays.`,
  frozenUnkept: (target: string, why: string | undefined): string =>
    `${MERGE_TEXT.frozen(target)} It is not kept on the remote yet${why === undefined ? '' : ` (${why})`}: until then it is lost if the workflow of the queue is ended.`,
  thawedUnkept: (target: string, why: string | undefined): string =>
    `${MERGE_TEXT.thawed(target)} It is not taken off the remote yet${why === undefined ? '' : ` (${why})`}: until then a new workflow of the queue is frozen again.`,
  notRead: (target: string): string =>
    `The remote does not say yet whether ${target} is frozen: it cannot be asked. Try again when it can.`,
  thawed: (target: string): string => `Work lands on ${target} again.`,
  freezeWhat: 'A freeze wants a reason: at least one character, at most 2,000.',
  thawWhat: 'A thaw wants a reason: at least one character, at most 2,000.',
  notFrozen: (target: string): string => `${target} is not frozen.`,
  couldNotRun: (reason: string): string =>
    `The checks could not be run, which is no verdict; they are tried again. ${reason}`,
  nothingToCheck:
    'No check is configured or detected, and the gate asks for one: name them under "checks", or set the gate to "none".',
  red: (commit: string, report: string): string =>
    `The branch itself fails its checks at ${commit.slice(0, 10)}; only fixes land until that is over.\n${report}`,
  ejected: (report: string): string => `The checks fail with this change and pass without it.\n${report}`,
  gateKept: (gate: string): string =>
    `The repository wants what lands to be checked (merge.gate "${gate}" in agentswarm.json), which a run cannot set to "none".`,
  freezerEnded: (run: string, reason: string): string =>
    `It was frozen as red by the run ${run}, which has ended without saying that it is mended. Nobody mends it any more, so work lands on it again. It was red: ${reason}`,
  freeze: ({ by, reason }: Freeze): string =>
    by === 'person' ? `frozen by a person: ${reason}` : `red, only fixes land: ${reason}`,
};

/** The failing checks, what they found first: the beginning says most where only that is shown. */
export function failureReport(result: Pick<ChecksResult, 'checks'>): string {
  const failing = result.checks.filter(({ status }) => status !== 'passed');
  const report = failing.map(describe).join('\n\n');
  return report.length <= REPORT_CHARS ? report : `${report.slice(0, REPORT_CHARS - 1)}…`.toWellFormed();
}

function describe({ name, command, status, exitCode, errors, tail }: CheckRun): string {
  const ended =
    status === 'timed-out' ? 'ran out of time' : `failed${exitCode === undefined ? '' : ` with exit code ${exitCode}`}`;
  const found = errors.slice(0, MAX_ERRORS).map(({ file, line, code, message }) => {
    const where = file === undefined ? '' : `${file}${line === undefined ? '' : `:${line}`}: `;
    return `- ${where}${code === undefined ? '' : `${code} `}${message}`;
  });
  const output = tail.trim() === '' ? [] : [tail.slice(-TAIL_CHARS)];
  const what =
    command === undefined ? '' : ` (${command.length > MAX_COMMAND ? `${command.slice(0, MAX_COMMAND)}…` : command})`;
  return [`${name}${what} ${ended}:`, ...found, ...output].join('\n');
}
