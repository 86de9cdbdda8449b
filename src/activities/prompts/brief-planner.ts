/** What a planner's conversation begins with, and what it is told before each further plan: only what is new. */
import type { Resume, RunActivities } from '../../shared/contracts/activities.ts';
import type { RunContext } from '../../shared/contracts/run.ts';
import type { Mirrors } from '../git/contract.ts';
import { listFiles } from '../git/read/commit-files.ts';
import { NEWEST, recentCommits } from '../git/read/commits.ts';
import { renderTree } from '../git/read/file-tree.ts';
import { assignment, handoffBlocks, items, openTasks } from './handoff-text.ts';
import type { Prompts } from './prompts.ts';
import { changedDocuments, changedPaths, type Document, newCommits, readDocuments, viewOf } from './repository-view.ts';
import { assemble, data, type Section } from './text.ts';
import { cutEnd, escapeControls } from '../support/text.ts';

/** Limits of the sections add up to less, with the 270 kB of documents: none starves another. */
const BRIEF_BYTES = 390_000;
const SCRATCHPAD_BYTES = 62_000;
const TREE_BYTES = 28_000;
const COMMITS_BYTES = 4_000;
const TASKS_BYTES = 20_000;
const LIST_BYTES = 40_000;
const HANDOFFS_BYTES = 160_000;
const PREVIOUS_BYTES = 20_000;

type Deps = { mirrors: Mirrors; prompts: Prompts };

/** @returns `briefPlanner` of RunActivities: the system prompt and one message of at most about 400 kB. */
export function createBriefPlanner({ mirrors, prompts }: Deps): RunActivities['briefPlanner'] {
  return async ({ run, spec, resume, division }) => {
    const mirror = await mirrors.open(run.repo);
    const tip = await mirror.fetchBranch(run.target);
    const documents = await readDocuments(mirror, run, spec, tip);
    const tree = renderTree(await listFiles(mirror, tip), TREE_BYTES);
    const commits = await recentCommits(mirror, tip, { limit: NEWEST });
    const section =
      `Run \`${escapeControls(run.root.workflowId)}\` on ${escapeControls(run.repo.key)}. Work lands on \`${run.target}\`, ` +
      `whose tip is ${tip.slice(0, 10)}. At most ${run.settings.maxWorkers} tasks run at once; ` +
      `each is tried up to ${run.settings.maxAttempts} times.`;
    const opening = division === undefined ? section : `${section}\n\n${divisionText(run, division)}`;
    const text = assemble(
      [
        ...documents.filter(({ spec: is }) => is).map((document) => documentSection(document, 'Spec')),
        ...(resume === undefined ? [] : resumeSections(resume)),
        ...documents.filter(({ spec: is }) => !is).map((document) => documentSection(document, 'Guidance')),
        { heading: '### Files', body: tree, maxBytes: TREE_BYTES + 1_000, source: `git ls-tree ${tip.slice(0, 10)}` },
        { heading: '### Newest commits', body: commits.join('\n'), maxBytes: COMMITS_BYTES, source: 'git log' },
      ],
      BRIEF_BYTES,
    );
    const closing = 'Look at what you need with your tools, then call submit_plan.';
    return {
      messages: [
        { role: 'system', text: division === undefined ? prompts.planner : prompts.subplanner },
        { role: 'user', text: `${opening}\n\n${text}\n\n${closing}` },
      ],
      view: viewOf(tip, documents),
    };
  };
}

type Division = NonNullable<Parameters<RunActivities['briefPlanner']>[0]['division']>;

/** Has the lines `Task: <id>` and `Attempt: <n>`, as a worker's brief. */
function divisionText(run: RunContext, { task, attempt, previous, guidance }: Division): string {
  return [
    `Task: ${task.id}\nAttempt: ${attempt}\nSubtasks: at most ${run.settings.division.subtasks} in all.`,
    assignment(task),
    ...(previous === undefined
      ? []
      : [
          '## The attempt before this one',
          'What it landed is on the branch. Divide what is left.',
          data('the division before', cutEnd(previous.summary, PREVIOUS_BYTES)),
        ]),
    ...(guidance.length === 0 ? [] : ['### From the people who run this', cutEnd(items(guidance), PREVIOUS_BYTES)]),
  ].join('\n\n');
}

const documentSection = ({ name, text, maxBytes }: Document, what: string) => ({
  heading: `### ${what}: ${escapeControls(name)}`,
  body: text,
  maxBytes,
  source: name,
});

/** A conversation that had become too long goes on from the planner's own memory. */
function resumeSections({ scratchpad, tasks, older = 0 }: Resume): (Section & { source: string })[] {
  const memory = Object.entries(scratchpad).map(([part, text]) => `${part}:\n${text}`);
  const known = tasks.map(
    ({ id, status, branch, description }) => `- ${id} (${status}, branch ${branch}): ${escapeControls(description)}`,
  );
  if (older > 0) known.unshift(`(${older} further tasks are done: what still matters of them is in your scratchpad.)`);
  return [
    { heading: '### Your scratchpad', body: memory.join('\n\n'), maxBytes: SCRATCHPAD_BYTES, source: 'your last plan' },
    { heading: '### Tasks planned so far', body: known.join('\n'), maxBytes: TASKS_BYTES, source: 'your plans' },
  ];
}

/** @returns `briefReplan` of RunActivities: one message with what is new since `view`, and the view after it. */
export function createBriefReplan({ mirrors }: Pick<Deps, 'mirrors'>): RunActivities['briefReplan'] {
  return async ({ run, spec, view, news }) => {
    const mirror = await mirrors.open(run.repo);
    const tip = await mirror.fetchBranch(run.target);
    await mirror.ensureCommit(view.tip, `refs/heads/${run.target}`);
    const documents = await readDocuments(mirror, run, spec, tip);
    const { changed, gone } = changedDocuments(view, documents);
    const moved = tip !== view.tip;
    const opening = moved
      ? `What is new. \`${run.target}\` went from ${view.tip.slice(0, 10)} to ${tip.slice(0, 10)}.`
      : `What is new. \`${run.target}\` is still at ${tip.slice(0, 10)}.`;
    const text = assemble(
      [
        { heading: '### From the people who run this', body: items(news.steering), maxBytes: LIST_BYTES },
        { heading: '### Open tasks (scopes locked)', body: openTasks(news.open), maxBytes: LIST_BYTES },
        { heading: '### Events', body: items(news.events), maxBytes: LIST_BYTES, source: 'the run' },
        ...(news.handoffs.length === 0
          ? []
          : [
              {
                heading: '### Handoffs',
                body: handoffBlocks(news.handoffs),
                maxBytes: HANDOFFS_BYTES,
                source: 'agents',
              },
            ]),
        ...changed.map((document) => documentSection(document, 'Changed')),
        { heading: '### No longer there', body: items(gone), maxBytes: LIST_BYTES },
        {
          heading: '### Files added (A), deleted (D), changed (M)',
          body: moved ? await changedPaths(mirror, view.tip, tip) : '',
          maxBytes: LIST_BYTES,
          source: 'git diff',
        },
        {
          heading: '### New commits',
          body: moved ? await newCommits(mirror, view.tip, tip) : '',
          maxBytes: COMMITS_BYTES,
          source: 'git log',
        },
      ],
      BRIEF_BYTES,
    );
    const closing = 'Decide what follows from this, then call submit_plan.';
    return {
      message: { role: 'user', text: [opening, text, closing].filter((part) => part !== '').join('\n\n') },
      view: viewOf(tip, documents),
    };
  };
}
