/** What the agents of a task begin with: the worker its assignment, the conflict agent both sides' intent. */
import type { RunActivities } from '../../shared/contracts/activities.ts';
import type { CommitSha } from '../../shared/ids.ts';
import type { Mirror, Mirrors } from '../git/contract.ts';
import { readText } from './commit-files.ts';
import { commitsTouching } from './commits.ts';
import { assignment, handoffLines, items } from './handoff-text.ts';
import type { Prompts } from './prompts.ts';
import { cutEnd, data, oneLine } from './text.ts';

/** Of the repository's own words to whoever works in it; each is cut by itself. */
const GUIDANCE = ['AGENTS.md', 'CLAUDE.md', 'DECISIONS.md'];
const GUIDANCE_BYTES = 20_000;
const SUMMARY_BYTES = 20_000;
const STEERING_BYTES = 20_000;
const COMMITS_SHOWN = 50;
const MESSAGE_BYTES = 4_000;
const COMMITS_BYTES = 80_000;
/** Arguments of one command line; further conflicted files are in the work tree for the agent to see. */
const FILES_SHOWN = 300;

type Deps = { mirrors: Mirrors; prompts: Prompts };

/** @returns `briefWorker` of RunActivities. The user's message has the lines `Task: <id>` and `Attempt: <n>`. */
export function createBriefWorker({ mirrors, prompts }: Deps): RunActivities['briefWorker'] {
  return async ({ run, task, attempt, previous, guidance }) => {
    const mirror = await mirrors.open(run.repo);
    const tip = await mirror.fetchBranch(run.target);
    const parts = [`Task: ${task.id}\nAttempt: ${attempt}`, assignment(task)];
    if (previous !== undefined) {
      const summary = cutEnd(previous.summary, SUMMARY_BYTES);
      parts.push(
        '## The attempt before this one',
        previous.workLost === true
          ? 'Its work is lost: your work tree is the branch as it is now. Do the task anew, with what it learned.'
          : 'Its work is in your work tree, where it got that far. Check what it says before you build on it.',
        data('the agent of the attempt before', summary),
      );
    }
    if (guidance.length > 0) parts.push('## From the people who run this', cutEnd(items(guidance), STEERING_BYTES));
    parts.push(...(await repositoryGuidance(mirror, tip)));
    return {
      messages: [
        { role: 'system', text: prompts.worker },
        { role: 'user', text: parts.join('\n\n') },
      ],
    };
  };
}

/** @returns `briefConflict` of RunActivities. The message has `Task: <id>` and `Conflicted files:` with `- path` lines. */
export function createBriefConflict({ mirrors, prompts }: Deps): RunActivities['briefConflict'] {
  return async ({ run, task, handoff, base, tip, files }) => {
    const mirror = await mirrors.open(run.repo);
    for (const commit of [base, tip]) await mirror.ensureCommit(commit, `refs/heads/${run.target}`);
    const shown = files.slice(0, FILES_SHOWN);
    const commits = await commitsTouching(mirror, { base, tip, files: shown, limit: COMMITS_SHOWN });
    const log = commits
      .map(({ hash, message }) => `commit ${hash}\n${indent(cutEnd(message, MESSAGE_BYTES))}`)
      .join('\n\n');
    const parts = [
      `Task: ${task.id}`,
      `Conflicted files:\n${shown.map((file) => `- ${oneLine(file)}`).join('\n')}`,
      ...(files.length > shown.length
        ? [`and ${files.length - shown.length} more: \`git diff --name-only --diff-filter=U\``]
        : []),
      '## The work that is to land (theirs in the merge)',
      assignment(task),
      data(`handoff of ${task.id}`, handoffLines(handoff)),
      `## What landed meanwhile (ours in the merge), ${base.slice(0, 10)}..${tip.slice(0, 10)}, newest first`,
      log === ''
        ? 'No commit in between touches these files by name: look at renames and moves.'
        : data('git log', cutEnd(log, COMMITS_BYTES)),
      ...(await repositoryGuidance(mirror, tip)),
    ];
    return {
      messages: [
        { role: 'system', text: prompts.conflict },
        { role: 'user', text: parts.join('\n\n') },
      ],
    };
  };
}

/** What the repository has for whoever works in it; the same text under a second name is not told twice. */
async function repositoryGuidance(mirror: Mirror, tip: CommitSha): Promise<string[]> {
  const told: string[] = [];
  const blocks: string[] = [];
  for (const name of GUIDANCE) {
    const text = (await readText(mirror, tip, name))?.trim() ?? '';
    if (text === '' || told.includes(text)) continue;
    told.push(text);
    blocks.push(data(name, cutEnd(text, GUIDANCE_BYTES)));
  }
  return blocks.length === 0 ? [] : ['## How this repository wants to be worked on', ...blocks];
}

const indent = (text: string): string => text.replace(/^/gm, '    ');
