/** What people send to a run, or to a part of it: `steer`, `pause`, `resume`, `finish`, `cancel`. */
import { WorkflowUpdateFailedError } from '@temporalio/client';
import { rootMessage } from '../../shared/failures.ts';
import { cancelTaskUpdate, finishUpdate, pauseUpdate, resumeUpdate, steerUpdate } from '../../shared/messages.ts';
import { CliError, EXIT, type ExitCode, usageError } from '../errors.ts';
import { findPlace } from '../find-place.ts';
import { findRun } from '../find-run.ts';
import { printLine } from '../io.ts';
import { joinSession, type Session, type SessionContext } from '../session.ts';
import { cliText } from '../text.ts';

/** An update waits for a worker; longer than this, there is none. */
const ANSWER_SECONDS = 20;

export async function steerCommand(
  context: SessionContext,
  run: string,
  text: string,
  path?: string,
): Promise<ExitCode> {
  if (text.trim() === '') throw usageError(cliText.emptySteer);
  return send(context, run, 'steer', async ({ client }) => {
    const { planner, task } = await findPlace(client, run, path);
    const said = task === undefined ? { text } : { text, task };
    return await client.workflow.getHandle(planner).executeUpdate(steerUpdate, { args: [said] });
  });
}

export async function finishCommand(context: SessionContext, run: string): Promise<ExitCode> {
  return send(context, run, 'finish', ({ client }) => client.workflow.getHandle(run).executeUpdate(finishUpdate));
}

export async function pauseCommand(context: SessionContext, run: string, reason?: string): Promise<ExitCode> {
  return send(context, run, 'pause', ({ client }) =>
    client.workflow.getHandle(run).executeUpdate(pauseUpdate, { args: [reason === undefined ? {} : { reason }] }),
  );
}

export async function resumeCommand(context: SessionContext, run: string): Promise<ExitCode> {
  return send(context, run, 'resume', ({ client }) => client.workflow.getHandle(run).executeUpdate(resumeUpdate));
}

export async function cancelCommand(context: SessionContext, run: string, path?: string): Promise<ExitCode> {
  return send(context, run, 'cancel', async ({ client }) => {
    if (path !== undefined) {
      const { planner, task = '' } = await findPlace(client, run, path);
      return await client.workflow.getHandle(planner).executeUpdate(cancelTaskUpdate, { args: [{ task }] });
    }
    await client.workflow.getHandle(run).cancel();
    return cliText.cancelling(run);
  });
}

async function send(
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
