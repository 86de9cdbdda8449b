/** `agentswarm status [run]`. */
import { existsSync } from 'node:fs';
import { formatDuration } from '../../dashboard/format.ts';
import { waitingLine } from '../../dashboard/endpoints.ts';
import { modelLine, progressLines, stuckLines } from '../../dashboard/progress.ts';
import { renderReport } from '../../dashboard/report.ts';
import { externalTarget } from '../../host/connection.ts';
import type { RunSnapshot } from '../../shared/contracts/snapshot.ts';
import { mergeQueueWorkflowId, repositoryKey } from '../../shared/base/ids.ts';
import type { CommonOptions } from '../dependencies.ts';
import { openOwnHost } from '../embedded/host.ts';
import { statePaths } from '../../host/server-state.ts';
import { CliError, EXIT, type ExitCode } from '../errors.ts';
import { findRun, type ListedRun, listRuns } from '../find-run.ts';
import { followRun, querySnapshot } from '../follow.ts';
import { nextCommand } from '../hint.ts';
import { listenForInterrupts } from '../interrupt.ts';
import { type Io, printLine } from '../io.ts';
import {
  connect,
  hostDependencies,
  isCarried,
  joinSession,
  load,
  ownTarget,
  realStateDir,
  type Session,
  type SessionContext,
} from '../session.ts';
import { cliText } from '../text.ts';
import { readWorkerEndpoints } from '../worker-endpoints.ts';
import { linkLine } from './carry.ts';
import { queueLines } from './freeze.ts';

const STUCK_DEADLINE_MS = 5_000;

export async function statusCommand(
  context: SessionContext,
  run: string | undefined,
  options: CommonOptions & { json?: boolean },
): Promise<ExitCode> {
  const interrupts = listenForInterrupts(() => undefined);
  try {
    const session = await lookSession(context, (kill) => interrupts.onForce(kill));
    try {
      const json = options.json === true;
      if (run === undefined) await list(context.io, session, json);
      else await show(context, session, run, json);
      return EXIT.complete;
    } finally {
      await session.close(false);
    }
  } finally {
    interrupts.dispose();
  }
}

/** What is stored can be looked at while nobody works: a server without a worker, for the moment. */
async function lookSession(context: SessionContext, onForce: (kill: () => void) => void): Promise<Session> {
  const found = await load(context);
  const external = await externalTarget({ config: found.config, env: context.io.env });
  if (external !== null || isCarried(found.stateDir)) return joinSession(context);
  if (!existsSync(statePaths(found.stateDir).database)) throw new CliError(cliText.noStateYet(found.stateDir));
  const loaded = realStateDir(found);
  const host = await openOwnHost(loaded.stateDir, hostDependencies(context, loaded, { worker: false }));
  onForce(() => host.kill());
  try {
    return await connect(context, loaded, await ownTarget(loaded), host);
  } catch (error) {
    await host.stop(true);
    throw error;
  }
}

async function list(io: Io, session: Session, json: boolean): Promise<void> {
  const runs = await listRuns(session);
  if (json) printLine(io.stdout, JSON.stringify(runs, null, 2));
  else if (runs.length === 0) printLine(io.stdout, cliText.noRuns);
  else for (const line of table(runs)) printLine(io.stdout, line);
}

function table(runs: readonly ListedRun[]): string[] {
  const rows = [
    [...cliText.statusHead],
    ...runs.map((run) => [
      run.run,
      run.status,
      `${run.startedAt.slice(0, 19).replace('T', ' ')} UTC`,
      formatDuration(run.tookMs),
    ]),
  ];
  const widths = cliText.statusHead.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

type Stuck = Awaited<ReturnType<SessionContext['dependencies']['findStuck']>>;

/** What the server says of a run's workflows that cannot go on; nothing where it does not answer. */
async function stuckNow(
  { dependencies }: SessionContext,
  { client }: Session,
  of: { run: string; queue?: string },
): Promise<Stuck> {
  try {
    return await client.withDeadline(Date.now() + STUCK_DEADLINE_MS, () => dependencies.findStuck(client, of));
  } catch {
    return [];
  }
}

/** A planner looks every half a minute; what its server knows now is shown too. */
async function withStuck(context: SessionContext, session: Session, snapshot: RunSnapshot): Promise<RunSnapshot> {
  const { run, repo, target, stuck: seen = [] } = snapshot;
  const queue = target === '' ? {} : { queue: mergeQueueWorkflowId(repositoryKey(repo), target) };
  const now = await stuckNow(context, session, { run, ...queue });
  const since = Date.now();
  const fresh = now.filter(({ runId }) => !seen.some((each) => each.runId === runId));
  const stuck = [...seen, ...fresh.map((each) => ({ ...each, since }))];
  return stuck.length === 0 ? snapshot : { ...snapshot, stuck };
}

/** For Temporal's own command. */
const serverOf = ({ target: { address, namespace } }: Session): string =>
  `${address === '127.0.0.1:7233' ? '' : ` --address ${address}`}${namespace === 'default' ? '' : ` --namespace ${namespace}`}`;

/** Why a planner that should answer does not. */
async function silentStuck(context: SessionContext, session: Session, run: string): Promise<string[]> {
  return stuckLines(await stuckNow(context, session, { run }), Date.now(), serverOf(session));
}

async function show(context: SessionContext, session: Session, run: string, json: boolean): Promise<void> {
  const { io, options } = context;
  const found = await findRun(session, run);
  if (!found.open) return showEnded({ io, options }, session, found, json);
  const looked = session.host === null ? await querySnapshot(session.client, run) : null;
  const snapshot = looked === null ? null : await withStuck(context, session, looked);
  if (snapshot === null) for (const line of await silentStuck(context, session, run)) printLine(io.stdout, line);
  if (snapshot === null) throw new CliError(cliText.notLooked(run, nextCommand(options, 'attach', run)));
  if (json) return printLine(io.stdout, JSON.stringify(snapshot, null, 2));
  for (const line of progressLines(snapshot, { now: Date.now(), width: 200, server: serverOf(session) }))
    printLine(io.stdout, line);
  for (const line of await queueLines(session, snapshot)) printLine(io.stdout, line);
  // Of this host's workers, at once; a run is told of waits of half a minute.
  if (modelLine(snapshot, Date.now()) !== null) return printLine(io.stdout, linkLine(session, run));
  for (const worker of readWorkerEndpoints(session.loaded.stateDir)) {
    const line = waitingLine(worker, Date.now());
    if (line !== null) printLine(io.stdout, line);
  }
  printLine(io.stdout, linkLine(session, run));
}

async function showEnded(
  { io, options }: Pick<SessionContext, 'io' | 'options'>,
  session: Session,
  found: { run: string; executionRunId: string },
  json: boolean,
): Promise<void> {
  const quiet = { update: () => undefined, say: () => undefined, close: () => undefined };
  const { signal } = new AbortController();
  const end = await followRun({ client: session.client, ...found, view: quiet, signal, watched: false });
  const { run } = found;
  if (end.kind !== 'reported') {
    const { status, why } = end.kind === 'unreported' ? end : { status: '', why: '' };
    if (json) printLine(io.stdout, JSON.stringify({ run, status, reason: why }, null, 2));
    else printLine(io.stdout, cliText.ended(run, status, why));
    return;
  }
  const uiLink = session.uiLink(run);
  const links = {
    ...(uiLink === null ? {} : { uiLink }),
    ...(session.host === null ? {} : { uiCommand: `\`${nextCommand(options, 'dev')}\`` }),
  };
  printLine(io.stdout, json ? JSON.stringify(end.report, null, 2) : renderReport(end.report, links));
}
