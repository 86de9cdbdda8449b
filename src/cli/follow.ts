/** Follows a run from outside until it ends: looks at its snapshot and waits for its result. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, WorkflowFailedError, WorkflowNotFoundError } from '@temporalio/client';
import { CancelledFailure, TerminatedFailure, TimeoutFailure } from '@temporalio/common';
import type { LiveView } from '../dashboard/live.ts';
import { RunReport } from '../shared/contracts/run.ts';
import type { RunSnapshot } from '../shared/contracts/snapshot.ts';
import { rootMessage } from '../shared/base/failures.ts';
import { snapshotQuery } from '../shared/messages.ts';
import { CliError } from './errors.ts';
import { cliText } from './text.ts';

export type RunEnd =
  | { kind: 'reported'; report: RunReport }
  | { kind: 'unreported'; status: string; why: string }
  /** `signal` was aborted first. */
  | { kind: 'left' };

export type FollowOptions = {
  client: Client;
  run: string;
  /** Any execution of the chain that is followed; later ones are found from it. */
  executionRunId: string;
  view: LiveView;
  signal: AbortSignal;
  pollMs?: number;
  /** false: no look at the run's snapshot, only its end. */
  watched?: boolean;
};

const QUERY_DEADLINE_MS = 5_000;
/** The query is quiet for so long before the person is told. */
const SILENCE_MS = 8_000;

/** Resolves with the run's end. Survives a server and workers that come and go. */
export async function followRun(options: FollowOptions): Promise<RunEnd> {
  const { signal } = options;
  const over = new AbortController();
  const left = new Promise<RunEnd>((resolve) => {
    if (signal.aborted) resolve({ kind: 'left' });
    else signal.addEventListener('abort', () => resolve({ kind: 'left' }), { once: true });
  });
  const watching = options.watched === false ? undefined : watch(options, over.signal);
  try {
    const end = await Promise.race([awaitEnd(options), left]);
    if (end.kind !== 'left' && watching !== undefined) await lastLook(options);
    return end;
  } finally {
    over.abort();
    await Promise.race([watching, left]);
  }
}

async function awaitEnd({ client, run, executionRunId, signal }: FollowOptions): Promise<RunEnd> {
  const handle = client.workflow.getHandle(run, executionRunId);
  while (!signal.aborted) {
    try {
      return reported(run, await handle.result());
    } catch (error) {
      if (error instanceof WorkflowFailedError) return unreported(error);
      if (error instanceof CliError || error instanceof WorkflowNotFoundError) throw error;
      // The server is away: what it knows is on its disk, and it will answer again.
      await delay(500);
    }
  }
  return { kind: 'left' };
}

function reported(run: string, result: unknown): RunEnd {
  const parsed = RunReport.safeParse(result);
  if (parsed.success) return { kind: 'reported', report: parsed.data };
  throw new CliError(cliText.strangeResult(run, parsed.error.message));
}

function unreported(error: WorkflowFailedError): RunEnd {
  const { cause } = error;
  const why = rootMessage(error);
  if (cause instanceof CancelledFailure) return { kind: 'unreported', status: 'cancelled', why };
  if (cause instanceof TerminatedFailure) return { kind: 'unreported', status: 'terminated', why };
  if (cause instanceof TimeoutFailure) return { kind: 'unreported', status: 'timed out', why };
  return { kind: 'unreported', status: 'failed', why };
}

async function watch(options: FollowOptions, over: AbortSignal): Promise<void> {
  const { view, pollMs = 1_000 } = options;
  let heardAt = Date.now();
  let silent = false;
  while (!over.aborted) {
    const looked = await look(options);
    if (over.aborted) return;
    if (looked.kind === 'seen') {
      if (silent) view.say(cliText.newsAgain);
      silent = false;
      heardAt = Date.now();
      view.update(looked.snapshot);
    } else if (!silent && Date.now() - heardAt >= SILENCE_MS) {
      silent = true;
      view.say(cliText.silent(looked.why));
    }
    await delay(pollMs, undefined, { signal: over }).catch(() => undefined);
  }
}

/** What happened between the last look and the end is told too; a closed run still answers, where a worker is. */
async function lastLook(options: FollowOptions): Promise<void> {
  const looked = await look(options);
  if (looked.kind === 'seen') options.view.update(looked.snapshot);
}

type Looked = { kind: 'seen'; snapshot: RunSnapshot } | { kind: 'unseen'; why: string };

async function look({ client, run }: Pick<FollowOptions, 'client' | 'run'>): Promise<Looked> {
  try {
    const deadline = Date.now() + QUERY_DEADLINE_MS;
    const snapshot = await client.withDeadline(deadline, () => client.workflow.getHandle(run).query(snapshotQuery));
    return { kind: 'seen', snapshot };
  } catch (error) {
    return { kind: 'unseen', why: whyUnseen(error) };
  }
}

/** gRPC's codes: a deadline (4) means that the server waits for a worker; unavailable (14) that it is away itself. */
function whyUnseen(error: unknown): string {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    if (code === 14) return cliText.serverAway;
    if (code === 4 || code === 9) return cliText.workerAway;
  }
  return rootMessage(error);
}

/** The snapshot of a run, or null when no worker answers in time. */
export async function snapshotOf(client: Client, run: string): Promise<RunSnapshot | null> {
  const looked = await look({ client, run });
  return looked.kind === 'seen' ? looked.snapshot : null;
}
