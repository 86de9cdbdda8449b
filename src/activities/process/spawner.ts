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
  /** Ends the process, and every sandboxed command with it. */
  close(): void;
};

type Pending = { resolve: (result: ExecResult | null) => void; reject: (error: Error) => void };

/** Files that the worker was started with open would be open in every sandbox, so they are closed. 3 is the channel. */
const WITHOUT_OTHER_FILES = `for file in /proc/self/fd/*; do
  fd=\${file##*/}
  [ "$fd" -le 3 ] || eval "exec $fd>&-"
done
exec "$@"`;

/** The process is started at the first command, and again when it has died: the commands that it ran then reject. */
export const createSpawner = (): Spawner => new ChildSpawner();

class ChildSpawner implements Spawner {
  readonly run: RunProcess = async (argv, { signal, ...command }) => {
    const result = await this.request((id) => ({ kind: 'run', id, argv, command }), signal);
    if (result === null) throw new Error('A command ended without a result.');
    return result;
  };

  readonly shells: Shells = {
    run: (spec, argv, { signal, ...command }) => {
      const shell = this.numberOf(spec);
      return this.request((id) => ({ kind: 'run in shell', id, shell, argv, command }), signal);
    },
    end: async (owner) => {
      for (const spec of this.shellNumbers.keys()) if (spec.owner === owner) this.shellNumbers.delete(spec);
      // While the process does not run there are no shells.
      if (this.child !== undefined) await this.request((id) => ({ kind: 'end shells', id, owner }));
    },
  };

  private readonly pending = new Map<number, Pending>();
  /** The numbers of the shells that the child knows, so that a shell is described to it once and not with each command. */
  private readonly shellNumbers = new Map<ShellSpec, number>();
  private child: ChildProcess | undefined;
  private ids = 0;

  close(): void {
    this.child?.disconnect();
  }

  /** Resolves with the child's answer; an abort of `signal` is passed on to it. */
  private request(requestOf: (id: number) => SpawnerRequest, signal?: AbortSignal): Promise<ExecResult | null> {
    return new Promise((resolve, reject) => {
      const id = this.ids++;
      this.child ??= this.start();
      const { child } = this;
      const abort = (): void => void child.send({ kind: 'abort', id } satisfies SpawnerRequest, () => undefined);
      const settle = (): void => signal?.removeEventListener('abort', abort);
      this.pending.set(id, {
        resolve: (result) => {
          settle();
          resolve(result === null ? null : asBuffers(result));
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      child.send(requestOf(id), (error) => {
        if (error === null) return;
        this.pending.get(id)?.reject(error);
        this.pending.delete(id);
      });
      if (signal?.aborted === true) abort();
      else signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** The number by which the child knows a shell; a child that does not know it yet is sent its description. */
  private numberOf(spec: ShellSpec): number {
    const known = this.shellNumbers.get(spec);
    // A child that has ended takes what it knew with it: the next one is sent every shell again.
    if (known !== undefined && this.child !== undefined) return known;
    const shell = this.ids++;
    this.shellNumbers.set(spec, shell);
    this.child ??= this.start();
    this.child.send({ kind: 'shell', shell, spec } satisfies SpawnerRequest, () => undefined);
    return shell;
  }

  private start(): ChildProcess {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const file = fileURLToPath(new URL(`./spawner-child.${extension}`, import.meta.url));
    const node = [process.execPath, '--max-old-space-size=256', '--disable-warning=ExperimentalWarning', file];
    const child = spawn('/bin/bash', ['-c', WITHOUT_OTHER_FILES, 'bash', ...node], {
      // It gets none of the worker's secrets: commands bring their own environment.
      env: { PATH: process.env.PATH },
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child.on('message', (reply: SpawnerReply) => this.receive(reply));
    child.once('error', (error) => this.childEnded(child, error.message));
    child.once('exit', (code, signal) => this.childEnded(child, signal ?? `code ${code}`));
    return child;
  }

  private receive(reply: SpawnerReply): void {
    const pending = this.pending.get(reply.id);
    this.pending.delete(reply.id);
    if (reply.kind === 'ended') pending?.resolve(reply.result);
    else pending?.reject(Object.assign(new Error(reply.message), reply.code === undefined ? {} : { code: reply.code }));
  }

  /** Rejects every command that waits for an answer. */
  private childEnded(child: ChildProcess, how: string): void {
    if (this.child === child) {
      this.child = undefined;
      this.shellNumbers.clear();
    }
    const lost = [...this.pending.values()];
    this.pending.clear();
    for (const { reject } of lost)
      reject(new Error(`The process that runs commands ended (${how}); the command is lost.`));
  }
}

/** The channel turns a Buffer into a Uint8Array. */
const asBuffers = (result: ExecResult): ExecResult => ({
  ...result,
  stdout: Buffer.from(result.stdout),
  tail: Buffer.from(result.tail),
});
