/** `agentswarm worker`: by hand, or as the supervised child of `run`, `attach` and `dev`. */
import { setTimeout as delay } from 'node:timers/promises';
import type { CommonOptions } from '../dependencies.ts';
import { trySupervisorLock } from '../embedded/lock.ts';
import { endOrphanServers } from '../embedded/server-child.ts';
import { statePaths } from '../../host/server-state.ts';
import type { WorkerNotice } from '../embedded/worker-child.ts';
import { describeFailure, EXIT, type ExitCode } from '../errors.ts';
import { listenForInterrupts } from '../interrupt.ts';
import { printLine } from '../io.ts';
import { load, type SessionContext } from '../session.ts';
import { cliText } from '../text.ts';

const BEYOND_GRACE_MS = 10_000;

export async function workerCommand(context: SessionContext, options: CommonOptions): Promise<ExitCode> {
  const { io, dependencies } = context;
  const interrupts = listenForInterrupts(() => printLine(io.stderr, cliText.stopping));
  const orphaned = new AbortController();
  // The channel closes when the supervisor dies, however it dies: nobody would ever stop this worker then.
  const supervised = process.send !== undefined;
  if (supervised) process.once('disconnect', () => orphaned.abort());
  const signal = AbortSignal.any([interrupts.signal, orphaned.signal]);
  try {
    const { config, stateDir } = await load(context);
    const graceMs = config.worker.shutdownGraceSeconds * 1_000 + BEYOND_GRACE_MS;
    signal.addEventListener(
      'abort',
      () => void endWhenOverdue(graceMs, () => printLine(io.stderr, cliText.workerGraceOver)),
    );
    await dependencies.runWorker({
      cwd: io.cwd,
      env: io.env,
      ...(options.config === undefined ? {} : { configPath: options.config }),
      ...(options.stateDir === undefined ? {} : { stateDir: options.stateDir }),
      signal,
      onReady() {
        printLine(io.stderr, cliText.workerReady);
        notify({ kind: 'ready' });
      },
    });
    if (orphaned.signal.aborted) await endServerOf(stateDir);
    return EXIT.complete;
  } catch (error) {
    notify({ kind: 'failed', message: describeFailure(error, false).message });
    throw error;
  } finally {
    interrupts.dispose();
    if (process.connected) process.disconnect();
  }
}

function notify(notice: WorkerNotice): void {
  if (process.connected) process.send?.(notice);
}

async function endWhenOverdue(graceMs: number, say: () => void): Promise<void> {
  await delay(graceMs, undefined, { ref: false });
  say();
  process.exit(EXIT.failed);
}

/** The supervisor was killed: the server that it left behind ends too, unless someone has taken over by now. */
async function endServerOf(stateDir: string): Promise<void> {
  const lock = trySupervisorLock(statePaths(stateDir).lock);
  if (lock === null) return;
  await endOrphanServers(stateDir, lock);
  lock.release();
}
