/** `agentswarm freeze` and `thaw`: what people say to the merge queue of a branch; and how that queue stands. */
import { WithStartWorkflowOperation, WorkflowUpdateFailedError } from '@temporalio/client';
import { mergeQueueLines } from '../../dashboard/merge-queue.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { mergeQueueWorkflowId, repositoryKey } from '../../shared/base/ids.ts';
import type { MergeQueueSnapshot } from '../../shared/contracts/merge.ts';
import type { RepositoryRef } from '../../shared/contracts/run.ts';
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
  return say(context, 'freeze', options.branch, async (session) => {
    const startWorkflowOperation = queueFor(session, repository, options.branch);
    const args: [{ reason: string }] = [{ reason: options.reason }];
    return await session.client.workflow.executeUpdateWithStart(freezeUpdate, { startWorkflowOperation, args });
  });
}

/** Ends the freeze of a person and that of a red branch. */
export async function thawCommand(context: SessionContext, repo: string, options: FreezeOptions): Promise<ExitCode> {
  const repository = await repositoryHere(repo, context.io);
  const { branch, reason } = options;
  return say(context, 'thaw', branch, async (session) => {
    // The remote keeps a freeze whose queue was ended: one is begun to thaw it.
    const startWorkflowOperation = queueFor(session, repository, branch);
    const args: [{ reason: string }] = [{ reason }];
    return await session.client.workflow.executeUpdateWithStart(thawUpdate, { startWorkflowOperation, args });
  });
}

/** The queue that is open, or a new one. Each is for one use. */
function queueFor({ loaded }: Session, repository: RepositoryRef, branch: string) {
  return new WithStartWorkflowOperation(WORKFLOW.mergeQueue, {
    workflowId: mergeQueueWorkflowId(repository.key, branch),
    taskQueue: loaded.config.taskQueue,
    args: [{ repo: repository, target: branch }],
    workflowIdConflictPolicy: 'USE_EXISTING',
  });
}

/** For `status`: why the run's work does not land at present; nothing where it does, or nobody can tell. */
export async function queueLines(
  { client }: Session,
  { repo, target }: { repo: string; target: string },
): Promise<string[]> {
  try {
    const handle = client.workflow.getHandle(mergeQueueWorkflowId(repositoryKey(repo), target));
    const { status } = await handle.describe();
    const snapshot = await handle.query(mergeQueueSnapshotQuery);
    return mergeQueueLines(OPEN.has(status.name) ? snapshot : leftOf(snapshot));
  } catch {
    // No queue, no worker, or a repository that is named in another way: the run's own state is shown all the same.
    return [];
  }
}

const OPEN: ReadonlySet<string> = new Set(['RUNNING', 'PAUSED', 'CONTINUED_AS_NEW']);

/** Of a queue that is not open only that holds which the remote has: the next one begins with it. */
const leftOf = ({ target, waiting, landing, landed, frozen, freezeKept }: MergeQueueSnapshot): MergeQueueSnapshot => ({
  target,
  waiting,
  landing,
  landed,
  frozen: freezeKept === true ? frozen.filter(({ by }) => by === 'person') : [],
  checking: [],
});

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
