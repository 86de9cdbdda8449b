/** Runs as the server knows them. */
import { type WorkflowExecutionInfo, WorkflowNotFoundError } from '@temporalio/client';
import { WORKFLOW } from '../shared/messages.ts';
import { CliError, usageError } from './errors.ts';
import type { Session } from './session.ts';
import { cliText } from './text.ts';

export type KnownRun = { run: string; executionRunId: string; open: boolean; status: string };

/** The newest execution of a run. Throws where there is none of that id, or it is another kind of workflow. */
export async function findRun({ client, target }: Session, run: string): Promise<KnownRun> {
  try {
    const found = await client.workflow.getHandle(run).describe();
    if (found.type !== WORKFLOW.planner) throw usageError(cliText.notARun(run, found.type));
    const { name } = found.status;
    return { run, executionRunId: found.runId, open: name === 'RUNNING', status: statusWord(name) };
  } catch (error) {
    if (error instanceof CliError) throw error;
    if (error instanceof WorkflowNotFoundError) throw usageError(cliText.noRun(run, target.address), error);
    throw new CliError(cliText.lookFailed(run, target.address, (error as Error).message), { cause: error });
  }
}

export type ListedRun = { run: string; status: string; startedAt: string; tookMs: number };

/** All runs that the server still keeps, the newest first. */
export async function listRuns({ client }: Session, { onlyOpen = false, limit = 100 } = {}): Promise<ListedRun[]> {
  const state = onlyOpen ? 'ExecutionStatus = "Running"' : 'ExecutionStatus != "ContinuedAsNew"';
  const runs: ListedRun[] = [];
  for await (const found of client.workflow.list({ query: `WorkflowType = "${WORKFLOW.planner}" AND ${state}` })) {
    runs.push(toListed(found));
    if (runs.length >= limit) break;
  }
  return runs;
}

const toListed = ({ workflowId, status, startTime, closeTime }: WorkflowExecutionInfo): ListedRun => ({
  run: workflowId,
  status: statusWord(status.name),
  startedAt: startTime.toISOString(),
  tookMs: (closeTime ?? new Date()).getTime() - startTime.getTime(),
});

const statusWord = (name: string): string => name.toLowerCase().replaceAll('_', ' ');
