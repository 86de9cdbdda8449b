/** The worker as a supervised child: `agentswarm worker`, which says over its channel when it is ready. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { z } from 'zod';
import { killGroup } from './server-child.ts';
import type { Child } from './supervise.ts';

/** What the worker's process tells whoever started it. */
export const WorkerNotice = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('failed'), message: z.string() }),
]);
export type WorkerNotice = z.infer<typeof WorkerNotice>;

export type WorkerChildOptions = {
  /** What runs it: a Node and its arguments. */
  argv: readonly [string, ...string[]];
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Its output is appended here. */
  logFile: string;
  /** Loading and bundling the workflows takes some seconds. */
  readyTimeoutMs?: number;
  /** After SIGTERM: it finishes the calls that are paid for. Then SIGKILL. */
  graceMs: number;
};

/** Starts it and waits until it polls. It has a process group of its own, so that Ctrl-C is ours alone to handle. */
export async function startWorkerChild(options: WorkerChildOptions): Promise<Child> {
  const { argv, cwd, env, logFile, readyTimeoutMs = 120_000, graceMs } = options;
  const [command, ...args] = argv;
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', log, log, 'ipc'] });
  closeSync(log);

  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`it could not be run: ${error.message}`));
    child.once('exit', (code, signal) => resolve(signal ?? `code ${code}`));
  });
  const { pid } = child;
  const kill = (): void => {
    if (pid !== undefined && child.exitCode === null && child.signalCode === null) killGroup(pid);
  };

  const ready = Promise.withResolvers<void>();
  let reason: string | undefined;
  child.on('message', (message) => {
    const notice = WorkerNotice.safeParse(message);
    if (!notice.success) return;
    if (notice.data.kind === 'ready') ready.resolve();
    else reason = notice.data.message;
  });
  const timer = setTimeout(
    () => ready.reject(new Error(`it was not ready after ${readyTimeoutMs} ms`)),
    readyTimeoutMs,
  );
  void exited.then((how) => ready.reject(new Error(reason ?? `it ended (${how}) before it was ready`)));
  try {
    await ready.promise;
  } catch (error) {
    kill();
    throw new Error(`${(error as Error).message}\nThe worker's log is ${logFile}.`, { cause: error });
  } finally {
    clearTimeout(timer);
  }

  return {
    pid: pid as number,
    exited: exited.then((how) => reason ?? how),
    async stop(force) {
      if (force) kill();
      else child.kill('SIGTERM');
      const overdue = setTimeout(kill, graceMs);
      await exited;
      clearTimeout(overdue);
    },
    kill,
  };
}
