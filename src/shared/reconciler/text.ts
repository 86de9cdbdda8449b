/** What is said of sweeps, to people and to the planner's model. */
import type { CheckError, CheckRun, ChecksResult, TestCounts } from '../contracts/checks.ts';
import type { SweepResult } from '../contracts/sweep.ts';
import { errorText } from './fixes.ts';

const short = (commit: string): string => commit.slice(0, 10);

export const SWEEP_TEXT = {
  failed: (commit: string, errors: readonly CheckError[], checks: readonly CheckRun[]): string => {
    const names = checks.filter(({ status }) => status !== 'passed').map(({ name }) => name);
    const first = errors.slice(0, 3).map(errorText);
    const more = errors.length > first.length ? ` and ${errors.length - first.length} more` : '';
    return `${names.join(', ')} ${names.length === 1 ? 'fails' : 'fail'} at ${short(commit)}: ${first.join('; ')}${more}`.slice(
      0,
      1_500,
    );
  },
  couldNotRun: (commit: string, reason: string): string =>
    `the checks could not be run at ${short(commit)}: ${reason.slice(0, 1_500)}`,
  alwaysMoving: (sweeps: number): string =>
    `the branch moved on during each of ${sweeps} sweeps, and no error was in all of them`,
  fewerTests: (check: string, before: TestCounts, since: string, now: TestCounts): string =>
    `"${check}" runs fewer tests than at ${short(since)}: ${before.run} then, ${now.run} now (${now.skipped} skipped, ${before.skipped} then)`,
  noLongerRun: (check: string, since: string): string => `"${check}" ran at ${short(since)} and is not run any more`,
  greenNotMoved: (reason: string): string => `the ref of green commits could not be moved: ${reason.slice(0, 500)}`,
  notUsable: (problems: readonly string[]): string =>
    `The fixes are not usable:\n${problems.map((line) => `- ${line}`).join('\n')}\nSubmit them again, corrected.`,
  escalated: (error: CheckError, tried: readonly string[]): string =>
    tried.length === 0
      ? `The checks fail, and no change of the repository is known to mend it: [${error.check}] ${errorText(error)}`.slice(
          0,
          800,
        )
      : `The checks still fail after ${tried.length === 1 ? 'a fix' : `${tried.length} fixes`} (${tried.join(', ')}): [${error.check}] ${errorText(error)}. Look for another cause, or take back what broke it.`.slice(
          0,
          800,
        ),
  red: (target: string, reason: string): string => `The checks of ${target} fail: ${reason}`,
  noted: (warning: string): string => `The checks pass, but ${warning}. Look whether that is wanted.`,
  details: (commit: string, result: ChecksResult): string =>
    [
      `**${short(commit)}: ${result.verdict}**`,
      ...result.checks.map(
        ({ name, status, durationMs }) => `- ${name}: ${status} (${(durationMs / 1_000).toFixed(1)} s)`,
      ),
    ].join('\n'),
  /** One line for a report: `green at 1234567890`. */
  verdict: ({ verdict, commit, reason }: Pick<SweepResult, 'verdict' | 'commit' | 'reason'>): string =>
    [`${verdict}${commit === undefined ? '' : ` at ${short(commit)}`}`, ...(reason === undefined ? [] : [reason])].join(
      ': ',
    ),
} as const;
