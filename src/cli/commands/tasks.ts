/** What people do to the tasks of a run: `retry`, `release` and `add`. */
import type { AddTask } from '../../shared/contracts/people.ts';
import { addTaskUpdate, releaseTaskUpdate, retryTaskUpdate } from '../../shared/messages.ts';
import { type ExitCode, usageError } from '../errors.ts';
import { findPlace } from '../find-place.ts';
import type { SessionContext } from '../session.ts';
import { cliText } from '../text.ts';
import { send, tell } from './send.ts';

/** `path` names the task, `text` is told to its agent. */
export async function retryCommand(
  context: SessionContext,
  run: string,
  path: string,
  text?: string,
): Promise<ExitCode> {
  return send(context, run, 'retry', async (session) => {
    const { planner, task = '' } = await findPlace(session.client, run, path);
    return await tell(session, planner, retryTaskUpdate, { task, ...(text === undefined ? {} : { text }) });
  });
}

/** Lands the work of one task that a guard holds. */
export async function releaseCommand(
  context: SessionContext,
  run: string,
  path: string,
  reason?: string,
): Promise<ExitCode> {
  return send(context, run, 'release', async (session) => {
    const { planner, task = '' } = await findPlace(session.client, run, path);
    return await tell(session, planner, releaseTaskUpdate, { task, ...(reason === undefined ? {} : { reason }) });
  });
}

export type AddOptions = {
  id?: string;
  scope?: string[];
  after?: string[];
  check?: string[];
  priority?: number;
  /** The division that it is added to, by its path. */
  task?: string;
};

export async function addCommand(
  context: SessionContext,
  run: string,
  description: string,
  options: AddOptions,
): Promise<ExitCode> {
  if (description.trim() === '') throw usageError(cliText.emptyTask);
  const { id, scope, after, check = [], priority, task: path } = options;
  const added: AddTask = {
    description,
    ...(id === undefined ? {} : { id }),
    ...(scope === undefined ? {} : { scope }),
    ...(after === undefined ? {} : { dependsOn: after }),
    ...(priority === undefined ? {} : { priority }),
    acceptance: check.map((command) => ({ text: `\`${command}\` succeeds`, command })),
  };
  return send(context, run, 'add', async (session) => {
    const { planner } = await findPlace(session.client, run, path === undefined ? undefined : `${path}/`);
    return await tell(session, planner, addTaskUpdate, added);
  });
}
