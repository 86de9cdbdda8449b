/**
 * Workflows whose workflow task keeps failing or timing out: the server tries it again for ever, and reports it by the
 * search attribute TemporalReportedProblems after some failures in a row (five where it is not configured otherwise).
 * https://docs.temporal.io/search-attribute#default-search-attribute
 */
import { type Client, type WorkflowExecutionDescription, WorkflowNotFoundError } from '@temporalio/client';
import type { EndWorkflowsRequest, FindStuckRequest, RunActivities } from '../../shared/contracts/activities.ts';
import type { StuckWorkflow } from '../../shared/contracts/stuck.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import type { Log } from './log.ts';

const PROBLEMS = 'TemporalReportedProblems';
/** One that is tried the third time has failed twice: a worker that dies in the middle costs one. */
const STUCK_ATTEMPT = 3;
/** As many as a run can do something about; the others come when these have ended. */
const MAX_STUCK = 50;
/** Described at once, where it is looked closely. */
const MAX_CLOSELY = 500;
const AT_ONCE = 20;
/** Events from a history's end, among which the failure is: what came since is signals. */
const LAST_EVENTS = 100;
const MAX_REASON_CHARS = 500;

/** @returns how a running workflow is stuck; undefined where it is not. Asks for the reason only where it is. */
export async function stuckOf(client: Client, found: WorkflowExecutionDescription): Promise<StuckWorkflow | undefined> {
  if (found.status.name !== 'RUNNING') return undefined;
  const attempts = found.raw.pendingWorkflowTask?.attempt ?? 0;
  const problems = found.searchAttributes?.[PROBLEMS] ?? [];
  if (attempts < STUCK_ATTEMPT && problems.length === 0) return undefined;
  const { workflowId, runId, type } = found;
  const failure = (await lastFailure(client, found)) ?? problems.join(', ');
  const reason = failure === '' ? 'its workflow task fails or is not answered in time' : failure;
  return { workflowId, runId, type, attempts, reason: reason.slice(0, MAX_REASON_CHARS).toWellFormed() };
}

/** The server writes the first failure in a row into the history. */
async function lastFailure(
  client: Client,
  { workflowId, runId }: WorkflowExecutionDescription,
): Promise<string | undefined> {
  try {
    const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
      namespace: client.options.namespace,
      execution: { workflowId, runId },
      maximumPageSize: LAST_EVENTS,
    });
    for (const event of history?.events ?? []) {
      const message = event.workflowTaskFailedEventAttributes?.failure?.message;
      if (message != null && message !== '') return message;
      if (event.workflowTaskTimedOutEventAttributes != null) return 'its workflow task was not answered in time';
      if (event.workflowTaskCompletedEventAttributes != null) return undefined;
    }
  } catch {
    // The attribute's words are left.
  }
  return undefined;
}

/** @returns `findStuck` of RunActivities. */
export function createFindStuck({
  client,
  log,
}: {
  client: Client;
  log: Pick<Log, 'warn'>;
}): RunActivities['findStuck'] {
  return async (request) => {
    const ids = new Set([...request.known, ...(await reported(client, request, log))]);
    for (const id of request.closely) for (const { workflowId } of await runningBelow(client, id)) ids.add(workflowId);
    const all = [...ids].slice(0, MAX_CLOSELY);
    const stuck: StuckWorkflow[] = [];
    for (let i = 0; i < all.length && stuck.length < MAX_STUCK; i += AT_ONCE) {
      const described = await Promise.all(all.slice(i, i + AT_ONCE).map((id) => describeStuck(client, id)));
      stuck.push(...described.filter((each) => each !== undefined));
    }
    return { stuck: stuck.slice(0, MAX_STUCK) };
  };
}

/** What the server reports of a run, its root planner included. */
async function reported(
  client: Client,
  { root, run }: Pick<FindStuckRequest, 'root' | 'run'>,
  log: Pick<Log, 'warn'>,
): Promise<string[]> {
  const query = `ExecutionStatus = 'Running' AND ${PROBLEMS} IS NOT NULL AND RootWorkflowId = ${quoted(root)} AND ${atOrBelow(run)}`;
  try {
    return (await listed(client, query, MAX_STUCK)).map(({ workflowId }) => workflowId);
  } catch (error) {
    // A server before 1.30 does not know the attribute: there only those that are asked after by their ids are seen.
    log.warn({ run, error: rootMessage(error) }, 'the server cannot be asked which workflows cannot go on');
    return [];
  }
}

async function describeStuck(client: Client, workflowId: string): Promise<StuckWorkflow | undefined> {
  try {
    return await stuckOf(client, await client.workflow.getHandle(workflowId).describe());
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** @returns `endWorkflows` of RunActivities. */
export function createEndWorkflows({ client, log }: { client: Client; log: Log }): RunActivities['endWorkflows'] {
  return async ({ runs, below, reason }: EndWorkflowsRequest) => {
    for (const { workflowId, runId } of runs) {
      await terminate(client.workflow.getHandle(workflowId, runId), reason, log);
    }
    for (const { workflowId, firstRunId } of below) {
      // The chain first: it starts nothing more then.
      const chain = client.workflow.getHandle(workflowId, undefined, { firstExecutionRunId: firstRunId });
      await terminate(chain, reason, log);
      for (const each of await runningBelow(client, workflowId)) {
        if (each.workflowId === workflowId) continue;
        await terminate(client.workflow.getHandle(each.workflowId, each.runId), reason, log);
      }
    }
  };
}

async function terminate(handle: ReturnType<Client['workflow']['getHandle']>, reason: string, log: Log): Promise<void> {
  try {
    await handle.terminate(reason);
    log.warn({ workflow: handle.workflowId, reason }, 'a workflow is terminated');
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}

type Run = { workflowId: string; runId: string };

/** The workflow of that id and those below it, which runs at that time. */
const runningBelow = async (client: Client, id: string): Promise<Run[]> =>
  listed(client, `ExecutionStatus = 'Running' AND ${atOrBelow(id)}`, MAX_CLOSELY);

async function listed(client: Client, query: string, limit: number): Promise<Run[]> {
  const found: Run[] = [];
  for await (const { workflowId, runId } of client.workflow.list({ query })) {
    found.push({ workflowId, runId });
    if (found.length >= limit) break;
  }
  return found;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const atOrBelow = (id: string): string => `(WorkflowId = ${quoted(id)} OR WorkflowId STARTS_WITH ${quoted(`${id}/`)})`;
