/** What people say to a run, or to a part of it: `steer`, `pause`, `resume`, `finish`, `cancel`, `abort`, `limits`. */
import type { SetLimits } from '../../shared/contracts/people.ts';
import {
  cancelTaskUpdate,
  cancelUpdate,
  finishUpdate,
  pauseUpdate,
  resumeUpdate,
  setLimitsUpdate,
  steerUpdate,
} from '../../shared/messages.ts';
import { type ExitCode, usageError } from '../errors.ts';
import { findPlace } from '../find-place.ts';
import type { SessionContext } from '../session.ts';
import { cliText } from '../text.ts';
import { send, tell } from './send.ts';

export async function steerCommand(
  context: SessionContext,
  run: string,
  text: string,
  path?: string,
): Promise<ExitCode> {
  if (text.trim() === '') throw usageError(cliText.emptySteer);
  return send(context, run, 'steer', async (session) => {
    const { planner, task } = await findPlace(session.client, run, path);
    return await tell(session, planner, steerUpdate, task === undefined ? { text } : { text, task });
  });
}

export async function finishCommand(context: SessionContext, run: string): Promise<ExitCode> {
  return send(context, run, 'finish', ({ client }) => client.workflow.getHandle(run).executeUpdate(finishUpdate));
}

export async function pauseCommand(context: SessionContext, run: string, reason?: string): Promise<ExitCode> {
  return send(context, run, 'pause', (session) => tell(session, run, pauseUpdate, reasonOf(reason)));
}

export async function resumeCommand(context: SessionContext, run: string): Promise<ExitCode> {
  return send(context, run, 'resume', ({ client }) => client.workflow.getHandle(run).executeUpdate(resumeUpdate));
}

export type CancelOptions = { task?: string; reason?: string; grace?: number };

/** In good order: what runs hands off what there is. */
export async function cancelCommand(context: SessionContext, run: string, options: CancelOptions): Promise<ExitCode> {
  const { task: path, reason, grace } = options;
  const how = { ...reasonOf(reason), ...(grace === undefined ? {} : { graceMinutes: grace }) };
  return send(context, run, 'cancel', async (session) => {
    if (path === undefined) return await tell(session, run, cancelUpdate, how);
    const { planner, task = '' } = await findPlace(session.client, run, path);
    return await tell(session, planner, cancelTaskUpdate, { task, handOff: true, ...how });
  });
}

/** At once: what has not landed is left. A whole run is cancelled by the server, which needs no worker for that. */
export async function abortCommand(context: SessionContext, run: string, options: CancelOptions): Promise<ExitCode> {
  const { task: path, reason } = options;
  return send(context, run, 'abort', async (session) => {
    if (path !== undefined) {
      const { planner, task = '' } = await findPlace(session.client, run, path);
      return await tell(session, planner, cancelTaskUpdate, { task, ...reasonOf(reason) });
    }
    await session.client.workflow.getHandle(run).cancel();
    return cliText.cancelling(run);
  });
}

export type LimitsOptions = { maxWorkers?: number; maxAttempts?: number; usd?: number; tokens?: number; task?: string };

export async function limitsCommand(context: SessionContext, run: string, options: LimitsOptions): Promise<ExitCode> {
  const { task, usd, tokens, maxWorkers, maxAttempts } = options;
  const budget = { ...(usd === undefined ? {} : { usd }), ...(tokens === undefined ? {} : { tokens }) };
  const limits: SetLimits = {
    ...(maxWorkers === undefined ? {} : { maxWorkers }),
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
    ...(Object.keys(budget).length === 0 ? {} : { budget }),
  };
  if (Object.keys(limits).length === 0) throw usageError(cliText.noLimits);
  return send(context, run, 'limits', async (session) => {
    const planner = await divisionAt(session, run, task);
    return await tell(session, planner, setLimitsUpdate, limits);
  });
}

/** The planner that divides the task at this path; without one, the run's. */
async function divisionAt({ client }: { client: Parameters<typeof findPlace>[0] }, run: string, path?: string) {
  return (await findPlace(client, run, path === undefined ? undefined : `${path}/`)).planner;
}

const reasonOf = (reason: string | undefined): { reason?: string } => (reason === undefined ? {} : { reason });
