/**
 * Commands are started by a small process of their own. A fork copies the page tables of the process that
 * forks: from a worker of 370 MB it took 6.8 ms of CPU and stopped the event loop for as long, from a process
 * of 56 MB 0.9 ms (Node 24, measured with /bin/true); a turn of an agent needs about eight.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { ExecResult, ProcessCommand, RunProcess } from './run-process.ts';

/** To the spawner. */
export type SpawnerRequest =
  | { kind: 'run'; id: number; argv: readonly string[]; command: ProcessCommand }
  | { kind: 'abort'; id: number };

/** From the spawner. */
export type SpawnerReply =
  | { kind: 'ended'; id: number; result: ExecResult }
  | { kind: 'failed'; id: number; message: string; code?: string };

export type Spawner = {
  run: RunProcess;
  /** Ends it, and every sandboxed command with it. */
  close(): void;
};

type Waiting = { resolve: (result: ExecResult) => void; reject: (error: Error) => void };

/** Started at the first command, and again when it has died: what it ran then is rejected. */
export function createSpawner(): Spawner {
  const waiting = new Map<number, Waiting>();
  let child: ChildProcess | undefined;
  let ids = 0;

  function start(): ChildProcess {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const started = fork(new URL(`./spawner-child.${extension}`, import.meta.url), {
      // None of the worker's secrets: commands bring their own environment.
      env: { PATH: process.env.PATH },
      execArgv: ['--max-old-space-size=256', '--disable-warning=ExperimentalWarning'],
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    started.on('message', (reply: SpawnerReply) => {
      const asked = waiting.get(reply.id);
      waiting.delete(reply.id);
      if (reply.kind === 'ended') asked?.resolve(reply.result);
      else asked?.reject(Object.assign(new Error(reply.message), reply.code === undefined ? {} : { code: reply.code }));
    });
    const died = (how: string): void => {
      if (child === started) child = undefined;
      const lost = [...waiting.values()];
      waiting.clear();
      for (const each of lost)
        each.reject(new Error(`The process that runs commands ended (${how}); the command is lost.`));
    };
    started.once('error', (error) => died(error.message));
    started.once('exit', (code, signal) => died(signal ?? `code ${code}`));
    return started;
  }

  return {
    run(argv, { signal, ...command }) {
      return new Promise((resolve, reject) => {
        const id = ids++;
        child ??= start();
        const to = child;
        const abort = (): void => void to.send({ kind: 'abort', id } satisfies SpawnerRequest, () => undefined);
        const settle = (): void => signal?.removeEventListener('abort', abort);
        waiting.set(id, {
          resolve: (result) => {
            settle();
            resolve(asBuffers(result));
          },
          reject: (error) => {
            settle();
            reject(error);
          },
        });
        to.send({ kind: 'run', id, argv, command } satisfies SpawnerRequest, (error) => {
          if (error === null) return;
          waiting.get(id)?.reject(error);
          waiting.delete(id);
        });
        if (signal?.aborted === true) abort();
        else signal?.addEventListener('abort', abort, { once: true });
      });
    },
    close() {
      child?.disconnect();
    },
  };
}

/** The channel gives byte arrays. */
const asBuffers = (result: ExecResult): ExecResult => ({
  ...result,
  stdout: Buffer.from(result.stdout),
  tail: Buffer.from(result.tail),
});
