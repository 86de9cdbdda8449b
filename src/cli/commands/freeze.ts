/** `agentswarm freeze` and `thaw`: what people say to the merge queue of a branch; and how that queue stands. */
import { WithStartWorkflowOperation, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { mergeQueueLines } from '../../dashboard/merge-queue.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { mergeQueueWorkflowId, repositoryKey } from '../../shared/base/ids.ts';
import { freezeUpdate, mergeQueueSnapshotQuery, thawUpdate, WORKFLOW } from '../../shared/messages.ts';
import type { CommonOptions } from '../dependencies.ts';
import { CliError, EXIT, type ExitCode } from '../errors.ts';
import { repositoryHere } from '../input.ts';
import { printLine } from '../io.ts';
import { joinSession, type Session, type SessionContext } from '../session.ts';
import { cliText } from '../text.ts';

export type FreezeOptions = CommonOptions & { branch: string; reason: string };

/** An update waits for a worker; longer than this, there is none. */
const ANSWER_SECONDS = 20;

/** Nothing lands on the branch from now on. A queue that has nothing to do is begun for it. */
export async function freezeCommand(context: SessionContext, repo: string, options: FreezeOptions): Promise<ExitCode> {
  const repository = await repositoryHere(repo, context.io);
  return say(context, 'freeze', options.branch, async ({ client, loaded }) => {
    const startWorkflowOperation = new WithStartWorkflowOperation(WORKFLOW.mergeQueue, {
      workflowId: mergeQueueWorkflowId(repository.key, options.branch),
      taskQueue: loaded.config.taskQueue,
      args: [{ repo: repository, target: options.branch }],
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
    const args: [{ reason: string }] = [{ reason: options.reason }];
    return await client.workflow.executeUpdateWithStart(freezeUpdate, { startWorkflowOperation, args });
  });
}

/** Ends the freeze of a person and that of a red branch. */
export async function thawCommand(context: SessionContext, repo: string, options: FreezeOptions): Promise<ExitCode> {
  const { key } = await repositoryHere(repo, context.io);
  const { branch, reason } = options;
  return say(context, 'thaw', branch, async ({ client }) => {
    const handle = client.workflow.getHandle(mergeQueueWorkflowId(key, branch));
    try {
      return await handle.executeUpdate(thawUpdate, { args: [{ reason }] });
    } catch (error) {
      // A queue that is frozen does not end.
      if (error instanceof WorkflowNotFoundError) throw new CliError(cliText.notFrozen(branch), { cause: error });
      throw error;
    }
  });
}

/** For `status`: why the run's work does not land at present; nothing where it does, or nobody can tell. */
export async function queueLines(
  { client }: Session,
  { repo, target }: { repo: string; target: string },
): Promise<string[]> {
  try {
    const handle = client.workflow.getHandle(mergeQueueWorkflowId(repositoryKey(repo), target));
    return mergeQueueLines(await handle.query(mergeQueueSnapshotQuery));
  } catch {
    // No queue, no worker, or a repository that is named in another way: the run's own state is shown all the same.
    return [];
  }
}

async function say(
  context: SessionContext,
  what: 'freeze' | 'thaw',
  branch: string,
  deliver: (session: Session) => Promise<string>,
): Promise<ExitCode> {
  const session = await joinSession(context);
  try {
    const answer = await session.client.withDeadline(Date.now() + ANSWER_SECONDS * 1_000, () => deliver(session));
    printLine(context.io.stdout, answer);
    return EXIT.complete;
  } catch (error) {
    if (error instanceof CliError) throw error;
    if (error instanceof WorkflowUpdateFailedError) throw new CliError(rootMessage(error), { cause: error });
    throw new CliError(cliText.queueSilent(what, branch, ANSWER_SECONDS), { cause: error });
  } finally {
    await session.close(false);
  }
}
