/** What a task's worker begins with: its assignment, what was tried before, what people and repository say. */
import type { RunActivities } from '../../shared/contracts/activities.ts';
import type { Mirrors } from '../git/contract.ts';
import { repositoryGuidance } from './guidance.ts';
import { assignment, items } from './handoff-text.ts';
import type { Prompts } from './prompts.ts';
import { data } from './text.ts';
import { cutEnd } from '../support/text.ts';

const SUMMARY_BYTES = 20_000;
const STEERING_BYTES = 20_000;

type Deps = { mirrors: Mirrors; prompts: Prompts };

/** @returns `briefWorker` of RunActivities. The user's message has the lines `Task: <id>` and `Attempt: <n>`. */
export function createBriefWorker({ mirrors, prompts }: Deps): RunActivities['briefWorker'] {
  return async ({ run, task, attempt, previous, guidance }) => {
    const mirror = await mirrors.open(run.repo);
    // Only for the repository's guidance: its sandbox has a tip of its own.
    const tip = await mirror.recentTip(run.target);
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
