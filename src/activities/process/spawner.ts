/**
 * Commands are started by a small process of their own. A fork copies the page tables of the process that
 * forks: from a worker of 370 MB it took 6.8 ms of CPU and stopped the event loop for as long, from a process
 * of 56 MB 0.9 ms (Node 24, measured with /bin/true); a turn of an agent needs about eight.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ExecResult, ProcessCommand, RunProcess } from './run-process.ts';
import type { ShellCommand, Shells, ShellSpec } from './shells.ts';

/** To the spawner. */
export type SpawnerRequest =
  | { kind: 'run'; id: number; argv: readonly string[]; command: ProcessCommand }
  | { kind: 'shell'; shell: number; spec: ShellSpec }
  | { kind: 'run in shell'; id: number; shell: number; argv: readonly string[]; command: ShellCommand }
  | { kind: 'end shells'; id: number; owner: string }
  | { kind: 'abort'; id: number };

/** From the spawner. */
export type SpawnerReply =
  | { kind: 'ended'; id: number; result: ExecResult | null }
  | { kind: 'failed'; id: number; message: string; code?: string };

/** How commands are run. */
export type Processes = { run: RunProcess; shells: Shells };

export type Spawner = Processes & {
  /** Ends it, and every sandboxed command with it. */
  close(): void;
};

type Waiting = { resolve: (result: ExecResult | null) => void; reject: (error: Error) => void };

/** What the worker was started with open, whatever it is, would be open in every sandbox. 3 is the channel. */
const WITHOUT_OTHER_FILES = `for file in /proc/self/fd/*; do
  fd=\${file##*/}
  [ "$fd" -le 3 ] || eval "exec $fd>&-"
done
exec "$@"`;

/** Started at the first command, and again when it has died: what it ran then is rejected. */
export function createSpawner(): Spawner {
  const waiting = new Map<number, Waiting>();
  /** What the child was told of, so that it is not said with each command. */
  const told = new Map<ShellSpec, number>();
  let child: ChildProcess | undefined;
  let ids = 0;

  function start(): ChildProcess {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const file = fileURLToPath(new URL(`./spawner-child.${extension}`, import.meta.url));
    const node = [process.execPath, '--max-old-space-size=256', '--disable-warning=ExperimentalWarning', file];
    const started = spawn('/bin/bash', ['-c', WITHOUT_OTHER_FILES, 'bash', ...node], {
      // None of the worker's secrets: commands bring their own environment.
      env: { PATH: process.env.PATH },
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
      if (child === started) {
        child = undefined;
        told.clear();
      }
      const lost = [...waiting.values()];
      waiting.clear();
      for (const each of lost)
        each.reject(new Error(`The process that runs commands ended (${how}); the command is lost.`));
    };
    started.once('error', (error) => died(error.message));
    started.once('exit', (code, signal) => died(signal ?? `code ${code}`));
    return started;
  }

  /** Resolves with what the child answers; an abort of `signal` is passed on. */
  function ask(request: (id: number) => SpawnerRequest, signal?: AbortSignal): Promise<ExecResult | null> {
    return new Promise((resolve, reject) => {
      const id = ids++;
      child ??= start();
      const to = child;
      const abort = (): void => void to.send({ kind: 'abort', id } satisfies SpawnerRequest, () => undefined);
      const settle = (): void => signal?.removeEventListener('abort', abort);
      waiting.set(id, {
        resolve: (result) => {
          settle();
          resolve(result === null ? null : asBuffers(result));
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      to.send(request(id), (error) => {
        if (error === null) return;
        waiting.get(id)?.reject(error);
        waiting.delete(id);
      });
      if (signal?.aborted === true) abort();
      else signal?.addEventListener('abort', abort, { once: true });
    });
  }

  function numberOf(spec: ShellSpec): number {
    const known = told.get(spec);
    // One that has ended knows nothing; the next is told all.
    if (known !== undefined && child !== undefined) return known;
    const shell = ids++;
    told.set(spec, shell);
    child ??= start();
    child.send({ kind: 'shell', shell, spec } satisfies SpawnerRequest, () => undefined);
    return shell;
  }

  return {
    async run(argv, { signal, ...command }) {
      const result = await ask((id) => ({ kind: 'run', id, argv, command }), signal);
      if (result === null) throw new Error('A command ended without a result.');
      return result;
    },
    shells: {
      run: (spec, argv, { signal, ...command }) => {
        const shell = numberOf(spec);
        return ask((id) => ({ kind: 'run in shell', id, shell, argv, command }), signal);
      },
      async end(owner) {
        for (const spec of told.keys()) if (spec.owner === owner) told.delete(spec);
        // Without the process there are no shells.
        if (child !== undefined) await ask((id) => ({ kind: 'end shells', id, owner }));
      },
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
