/** How what people say gets to a run: an update, answered at once, or refused with the reason. */
import { type UpdateDefinition, WorkflowUpdateFailedError } from '@temporalio/client';
import { rootMessage } from '../../shared/base/failures.ts';
import { CliError, EXIT, type ExitCode, usageError } from '../errors.ts';
import { findRun } from '../find-run.ts';
import { printLine } from '../io.ts';
import { joinSession, type Session, type SessionContext } from '../session.ts';
import { cliText } from '../text.ts';

/** An update waits for a worker; longer than this, there is none. */
const ANSWER_SECONDS = 20;

/** Finds the run, delivers, and prints the answer. Exits with 1 when it is refused, or nobody answers. */
export async function send(
  context: SessionContext,
  run: string,
  what: string,
  deliver: (session: Session) => Promise<string>,
): Promise<ExitCode> {
  const session = await joinSession(context);
  try {
    const found = await findRun(session, run);
    if (!found.open) throw usageError(cliText.endedAlready(run, found.status));
    const answer = await session.client.withDeadline(Date.now() + ANSWER_SECONDS * 1_000, () => deliver(session));
    printLine(context.io.stdout, answer);
    return EXIT.complete;
  } catch (error) {
    if (error instanceof CliError) throw error;
    if (error instanceof WorkflowUpdateFailedError) {
      throw new CliError(cliText.refused(what, run, rootMessage(error)), { cause: error });
    }
    throw new CliError(cliText.noAnswer(what, run, ANSWER_SECONDS), { cause: error });
  } finally {
    await session.close(false);
  }
}

/** To the planner of this workflow id: the run's, or that of a division. */
export async function tell<Said>(
  { client }: Session,
  planner: string,
  update: UpdateDefinition<string, [Said]>,
  message: Said,
): Promise<string> {
  return await client.workflow.getHandle(planner).executeUpdate(update, { args: [message] });
}
