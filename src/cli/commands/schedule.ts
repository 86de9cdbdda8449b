/** `agentswarm schedule`: runs that mend a branch at set times, on Temporal's Schedules. */
import { type Client, ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy } from '@temporalio/client';
import { PlannerInput } from '../../shared/contracts/run.ts';
import { WORKFLOW } from '../../shared/messages.ts';
import { describeIssues } from '../../shared/contracts/run-settings.ts';
import type { CommonOptions } from '../dependencies.ts';
import { CliError, EXIT, type ExitCode, usageError } from '../errors.ts';
import { repositoryHere, scheduleId } from '../input.ts';
import { printLine } from '../io.ts';
import { joinSession, type Session, type SessionContext } from '../session.ts';
import { cliText } from '../text.ts';

export type CreateOptions = CommonOptions & {
  cron: string;
  timezone?: string;
  branch?: string;
  base?: string;
  id?: string;
};

/** Marks the schedules that are ours, among others of the namespace. */
const MEMO = 'agentswarm';
/** A time that was missed is made up for this long: a server that was away at night runs in the morning. */
const CATCH_UP = '12h';

export async function scheduleCreateCommand(
  context: SessionContext,
  repo: string,
  options: CreateOptions,
): Promise<ExitCode> {
  const { location } = await repositoryHere(repo, context.io);
  const input = reconcileInput(location, options);
  const id = scheduleId(options.id, input.repo);
  return await withClient(context, async (client, { loaded }) => {
    try {
      await client.schedule.create({
        scheduleId: id,
        spec: {
          cronExpressions: [options.cron],
          ...(options.timezone === undefined ? {} : { timezone: options.timezone }),
        },
        policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: CATCH_UP },
        action: {
          type: 'startWorkflow',
          workflowType: WORKFLOW.planner,
          workflowId: id,
          taskQueue: loaded.config.taskQueue,
          args: [input],
        },
        memo: { [MEMO]: { repo: input.repo, cron: options.cron } },
      });
    } catch (error) {
      if (error instanceof ScheduleAlreadyRunning) throw usageError(cliText.scheduleExists(id), error);
      throw new CliError(cliText.scheduleRefused(id, (error as Error).message), { cause: error });
    }
    printLine(context.io.stdout, id);
  });
}

export async function scheduleListCommand(
  context: SessionContext,
  options: CommonOptions & { json?: boolean },
): Promise<ExitCode> {
  return await withClient(context, async (client) => {
    const rows = [];
    for await (const { scheduleId: id, memo, state, info } of client.schedule.list()) {
      const ours = memo?.[MEMO] as { repo?: string; cron?: string } | undefined;
      if (ours === undefined) continue;
      rows.push({
        id,
        ...ours,
        paused: state.paused,
        next: info.nextActionTimes[0]?.toISOString() ?? null,
        runs: info.recentActions.map(({ action }) => action.workflow.workflowId),
      });
    }
    if (options.json === true) return printLine(context.io.stdout, JSON.stringify(rows, null, 2));
    for (const row of rows) printLine(context.io.stdout, cliText.schedule(row));
  });
}

/** Starts the run at once, unless one of it is open. */
export async function scheduleTriggerCommand(context: SessionContext, id: string): Promise<ExitCode> {
  return await withSchedule(context, id, (handle) => handle.trigger(ScheduleOverlapPolicy.SKIP));
}

export async function schedulePauseCommand(context: SessionContext, id: string, reason?: string): Promise<ExitCode> {
  return await withSchedule(context, id, (handle) => handle.pause(reason ?? cliText.pausedByCommand));
}

export async function scheduleResumeCommand(context: SessionContext, id: string): Promise<ExitCode> {
  return await withSchedule(context, id, (handle) => handle.unpause(cliText.resumedByCommand));
}

/** Runs that it started go on. */
export async function scheduleDeleteCommand(context: SessionContext, id: string): Promise<ExitCode> {
  return await withSchedule(context, id, (handle) => handle.delete());
}

function reconcileInput(repo: string, { branch, base }: CreateOptions): PlannerInput {
  const parsed = PlannerInput.safeParse({
    repo,
    mode: 'reconcile',
    ...(branch === undefined ? {} : { branch }),
    ...(base === undefined ? {} : { base }),
  });
  if (parsed.success) return parsed.data;
  throw usageError(cliText.badInput(describeIssues(parsed.error, '')));
}

async function withSchedule(
  context: SessionContext,
  id: string,
  act: (handle: ReturnType<Client['schedule']['getHandle']>) => Promise<void>,
): Promise<ExitCode> {
  return await withClient(context, async (client) => {
    try {
      await act(client.schedule.getHandle(id));
    } catch (error) {
      if (error instanceof ScheduleNotFoundError) throw usageError(cliText.noSchedule(id), error);
      throw new CliError(cliText.scheduleRefused(id, (error as Error).message), { cause: error });
    }
  });
}

async function withClient(
  context: SessionContext,
  act: (client: Client, session: Session) => Promise<void>,
): Promise<ExitCode> {
  const session = await joinSession(context);
  try {
    await act(session.client, session);
    return EXIT.complete;
  } finally {
    await session.close(false);
  }
}
