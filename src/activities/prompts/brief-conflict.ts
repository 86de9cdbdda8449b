/** What a conflict agent begins with: what conflicts and how, and what both sides were there for. */
import type { RunActivities } from '../../shared/contracts/activities.ts';
import type { Conflict } from '../../shared/contracts/conflict.ts';
import type { RunContext } from '../../shared/contracts/run.ts';
import type { Mirrors } from '../git/contract.ts';
import { commitsTouching } from '../git/read/commits.ts';
import { repositoryGuidance } from './guidance.ts';
import { assignment, handoffLines, items } from './handoff-text.ts';
import { type ReadLandedWork, taskOfCommit } from './landed-work.ts';
import type { Prompts } from './prompts.ts';
import { data } from './text.ts';
import { cutEnd, escapeControls } from '../support/text.ts';

const COMMITS_SHOWN = 50;
const MESSAGE_BYTES = 4_000;
const COMMITS_BYTES = 80_000;
/** Arguments of one command line; further conflicted files are in the work tree for the agent to see. */
const FILES_SHOWN = 300;
/** Of the other side, newest first, each with its assignment and its handoff. */
const TASKS_SHOWN = 5;
const TASK_BYTES = 8_000;

type Deps = { mirrors: Mirrors; prompts: Prompts; landedWork: ReadLandedWork };

/** @returns `briefConflict` of RunActivities. The message has `Task: <id>` and `Conflicted files:` with `- path` lines. */
export function createBriefConflict({ mirrors, prompts, landedWork }: Deps): RunActivities['briefConflict'] {
  return async ({ run, task, handoff, base, tip, files, conflicts = [] }) => {
    const mirror = await mirrors.open(run.repo);
    for (const commit of [base, tip]) await mirror.ensureCommit(commit, `refs/heads/${run.target}`);
    const shown = files.slice(0, FILES_SHOWN);
    const commits = await commitsTouching(mirror, { base, tip, files: shown, limit: COMMITS_SHOWN });
    const log = commits
      .map(({ hash, message }) => `commit ${hash}\n${indent(cutEnd(message, MESSAGE_BYTES))}`)
      .join('\n\n');
    const parts = [
      `Task: ${task.id}`,
      `Conflicted files:\n${shown.map((file) => `- ${escapeControls(file)}`).join('\n')}`,
      ...(files.length > shown.length
        ? [`and ${files.length - shown.length} more: \`git diff --name-only --diff-filter=U\``]
        : []),
      ...(conflicts.length === 0
        ? []
        : ['## How they conflict', data('git merge', items(conflicts.map(howItConflicts)))]),
      '## The work that is to land (theirs in the merge)',
      assignment(task),
      data(`handoff of ${task.id}`, handoffLines(handoff)),
      `## What landed meanwhile (ours in the merge), ${base.slice(0, 10)}..${tip.slice(0, 10)}, newest first`,
      log === ''
        ? 'No commit in between touches these files by name: look at renames and moves.'
        : data('git log', cutEnd(log, COMMITS_BYTES)),
      ...(await otherSide(run, commits, landedWork)),
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

const howItConflicts = ({ path, kind, detail }: Conflict): string =>
  `${escapeControls(path)}: ${kind}${detail === undefined ? '' : `: ${escapeControls(detail)}`}`;

/** The tasks whose commits these are, as far as that can be known. */
async function otherSide(
  run: RunContext,
  commits: readonly { hash: string; message: string }[],
  landedWork: ReadLandedWork,
): Promise<string[]> {
  const blocks: string[] = [];
  const seen = new Set<string>();
  for (const { hash, message } of commits) {
    const chain = taskOfCommit(message);
    if (chain === undefined || seen.has(chain.firstRunId)) continue;
    seen.add(chain.firstRunId);
    if (seen.size > TASKS_SHOWN) break;
    const work = await landedWork(run, chain);
    if (work === null) continue;
    const { task, handoff } = work;
    const asked = [task.description, ...task.acceptance.map(({ text }) => `- acceptance: ${text}`)].join('\n');
    blocks.push(data(`task ${task.id} (commit ${hash}): its assignment`, cutEnd(asked, TASK_BYTES)));
    if (handoff !== undefined) blocks.push(data(`handoff of ${task.id}`, cutEnd(handoffLines(handoff), TASK_BYTES)));
  }
  return blocks.length === 0 ? [] : ['### What these tasks were there for', ...blocks];
}

const indent = (text: string): string => text.replace(/^/gm, '    ');
