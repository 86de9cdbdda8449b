/** `agentswarm run` and `agentswarm attach`. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { externalTarget } from '../../host/connection.ts';
import { type LocalRepository, localPath, lookAtRepository } from '../../host/local-repository.ts';
import { defaultBranch } from '../../shared/base/ids.ts';
import type { PlannerInput } from '../../shared/contracts/run.ts';
import { WORKFLOW } from '../../shared/messages.ts';
import type { CommonOptions } from '../dependencies.ts';
import { CliError, EXIT, type ExitCode, usageError } from '../errors.ts';
import { findRun } from '../find-run.ts';
import { nextCommand } from '../hint.ts';
import { plannerInput, type RunRequest, runId } from '../input.ts';
import { printLine } from '../io.ts';
import { isCarried, joinSession, load, type Session, type SessionContext } from '../session.ts';
import { cliText } from '../text.ts';
import { carryRun, type Found, linkLine } from './carry.ts';

export type RunOptions = CommonOptions & RunRequest & { id?: string; detach?: boolean; json?: boolean };

export async function runCommand(context: SessionContext, options: RunOptions): Promise<ExitCode> {
  const input = await plannerInput(options, context.io);
  const run = runId(options.id, input.repo);
  const json = options.json === true;
  await sayRepository(context, options, input.branch ?? defaultBranch(run));
  if (options.detach === true) return startAndLeave(context, run, input, json);
  return carryRun(context, (session) => start(context, session, run, input), {
    json,
    hint: (id) => `${cliText.started(id)} (${cliText.detachHint})`,
  });
}

/** What of a person's own repository may be otherwise than they think; whether a run can use it is for the run to say. */
async function sayRepository({ io }: SessionContext, { repo, base }: RunRequest, target: string): Promise<void> {
  const path = localPath(repo, io);
  if (path === null) return;
  const seen = await lookAtRepository(path, { env: io.env });
  const noteLines =
    seen.kind === 'repository'
      ? repositoryLines(seen, { startsFromHead: base === undefined, target })
      : [cliText.notLookedAt(seen.why, seen.remedy)];
  for (const line of noteLines) printLine(io.stderr, line);
}

function* repositoryLines(
  { root, bare, shallow, head, workTree, checkedOut }: LocalRepository,
  { startsFromHead, target }: { startsFromHead: boolean; target: string },
): Generator<string> {
  if (workTree?.linked === true) yield cliText.linkedWorkTree(root, workTree.path);
  else yield cliText.repository(root, bare);
  if (startsFromHead && workTree?.linked === true && workTree.branch !== head.branch) {
    const { branch, path } = workTree;
    const starts = head.branch ?? head.commit?.slice(0, 10) ?? 'no commit';
    if (branch === null) yield cliText.startsFrom(starts, `what is checked out in ${path}`, null);
    else yield cliText.startsFrom(starts, branch, `--base ${branch}`);
  }
  const files = workTree?.changes?.files ?? 0;
  if (files > 0) yield cliText.uncommitted(files);
  const where = checkedOut.find(({ branch }) => branch === target);
  if (where !== undefined) yield cliText.targetCheckedOut(target, where.path);
  if (shallow) yield cliText.shallow(root);
}

export async function attachCommand(
  context: SessionContext,
  run: string,
  options: CommonOptions & { json?: boolean },
): Promise<ExitCode> {
  const find = async (session: Session): Promise<Found> => {
    const found = await findRun(session, run);
    if (found.open) await warnWithoutWorker(context, session);
    return { run, executionRunId: found.executionRunId };
  };
  return carryRun(context, find, { json: options.json === true, hint: cliText.taken });
}

async function startAndLeave(
  context: SessionContext,
  run: string,
  input: PlannerInput,
  json: boolean,
): Promise<ExitCode> {
  const { io } = context;
  const loaded = await load(context);
  const external = await externalTarget({ config: loaded.config, env: io.env });
  if (external === null && !isCarried(loaded.stateDir)) throw usageError(cliText.detachNeedsServer);
  const session = await joinSession(context);
  try {
    await start(context, session, run, input);
    printLine(io.stderr, linkLine(session, run));
    if (json) printLine(io.stdout, JSON.stringify({ run, ui: session.uiLink(run) }));
    else printLine(io.stdout, run);
    printLine(io.stderr, cliText.detached(nextCommand(context.options, 'attach', run)));
    return EXIT.complete;
  } finally {
    await session.close(false);
  }
}

async function start(context: SessionContext, session: Session, run: string, input: PlannerInput): Promise<Found> {
  const { client, loaded } = session;
  await warnWithoutWorker(context, session);
  try {
    const handle = await client.workflow.start(WORKFLOW.planner, {
      workflowId: run,
      taskQueue: loaded.config.taskQueue,
      args: [input],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      staticSummary: input.repo.slice(0, 190),
    });
    return { run, executionRunId: handle.firstExecutionRunId };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) throw usageError(cliText.alreadyGoesOn(run), error);
    throw new CliError(cliText.startFailed(run, session.target.address, (error as Error).message), { cause: error });
  }
}

/** On a server of the person's own, a run would wait in silence for a worker that nobody has started. */
async function warnWithoutWorker({ io }: SessionContext, { client, target, loaded, host }: Session): Promise<void> {
  if (host !== null || target.source === 'embedded') return;
  const { taskQueue } = loaded.config;
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: target.namespace,
    taskQueue: { name: taskQueue },
    taskQueueType: 1,
  });
  if ((pollers ?? []).length === 0) printLine(io.stderr, cliText.noPollers(taskQueue, target.address));
}
