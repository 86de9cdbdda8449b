/** What the reconciler's agent begins with: what fails, what landed since, what was tried. */
import type { SweepActivities } from '../../shared/contracts/activities.ts';
import type { CheckError } from '../../shared/contracts/checks.ts';
import type { TriedFix } from '../../shared/contracts/sweep.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror, Mirrors } from '../git/contract.ts';
import type { Prompts } from './prompts.ts';
import { data, indentRest } from './text.ts';
import { cutEnd, escapeControls } from '../support/text.ts';

const ERRORS_BYTES = 30_000;
const OUTPUT_BYTES = 6_000;
const LOG_BYTES = 30_000;
const COMMITS_SHOWN = 60;
const TRIED_BYTES = 10_000;

/** @returns `briefReconciler` of SweepActivities. The user's message has `Branch: <name>`, and the errors as `1. …`. */
export function createBriefReconciler(deps: {
  mirrors: Mirrors;
  prompts: Prompts;
}): SweepActivities['briefReconciler'] {
  return async ({ run, commit, since, errors, checks, tried }) => {
    const mirror = await deps.mirrors.open(run.repo);
    await mirror.ensureCommit(commit, `refs/heads/${run.target}`);
    const log = await landedSince(mirror, since, commit);
    const parts = [
      `Branch: ${run.target}\nCommit: ${commit}`,
      '## The errors',
      data('the checks', cutEnd(errors.map(errorLine).join('\n'), ERRORS_BYTES)),
      '## What the failing checks wrote last',
      ...checks
        .filter(({ status, tail }) => status !== 'passed' && tail !== '')
        .map(({ name, command = '', tail }) => data(`${name} (${command})`, cutEnd(tail, OUTPUT_BYTES))),
      `## What landed since ${since.slice(0, 10)}, newest first`,
      log === '' ? 'Nothing: the branch failed from the start.' : data('git log', cutEnd(log, LOG_BYTES)),
    ];
    if (tried.length > 0) {
      parts.push('## Fix tasks so far', data('fix tasks', cutEnd(tried.map(triedLine).join('\n'), TRIED_BYTES)));
    }
    return {
      messages: [
        { role: 'system', text: deps.prompts.reconciler },
        { role: 'user', text: parts.join('\n\n') },
      ],
    };
  };
}

function errorLine({ check, file, line, column, code, message }: CheckError, i: number): string {
  const location = file === undefined ? '' : ` ${[file, line, column].filter((part) => part !== undefined).join(':')}`;
  return `${i + 1}. [${escapeControls(check)}]${escapeControls(location)}${code === undefined ? '' : ` ${escapeControls(code)}`}: ${escapeControls(message)}`;
}

const triedLine = ({ id, open, outcome }: TriedFix): string => `- ${id}: ${open ? 'at work' : indentRest(outcome)}`;

/** Subjects with the files of each commit. */
async function landedSince(mirror: Mirror, since: CommitSha, commit: CommitSha): Promise<string> {
  const { stdout, code } = await mirror.git(
    ['log', `--max-count=${COMMITS_SHOWN}`, '--format=%h %s', '--abbrev=10', '--name-only', `${since}..${commit}`],
    { ok: [0, 128] },
  );
  return code === 0 ? stdout.toString('utf8').replaceAll('\n\n', '\n').trim() : '';
}
