/** Runs one subprocess, given by argv, in a process group of its own. The first reason to end it is the one reported. */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { OutputCollector } from './output.ts';

/** A command as plain data, so that another process can run it. */
export type ProcessCommand = {
  cwd?: string;
  env: Readonly<Record<string, string>>;
  stdin?: Buffer | string;
  timeoutMs: number;
  /** What is kept of standard output: its first `headBytes` (default 8 MiB) and its last `tailBytes` (default 0). */
  headBytes?: number;
  tailBytes?: number;
  /** The command is killed when it has written more than this to standard output. Default 256 MiB. */
  maxBytes?: number;
  /** What is kept of the end of standard error. Default 8 KiB. */
  stderrBytes?: number;
  /** Path on the host for the whole of an output that is cut. */
  outputFile?: string;
  /** When the command is stopped: how long SIGKILL comes after SIGTERM. Default: SIGKILL at once. */
  termGraceMs?: number;
};
export type ProcessOptions = ProcessCommand & { signal?: AbortSignal };

/** Why a command ended: the first of these that happened. */
export type ExecReason = 'exit' | 'timeout' | 'aborted' | 'output-limit';

export type ExecResult = {
  stdout: Buffer;
  /** The end of standard output where `stdout` does not hold all of it. */
  tail: Buffer;
  /** Bytes written to standard output in all. */
  bytes: number;
  truncated: boolean;
  /** The end of standard error. */
  stderr: string;
  /** 128 + the signal's number when a signal ended it. */
  exitCode: number;
  killedBy?: NodeJS.Signals;
  reason: ExecReason;
};

/** Runs a command to its end; rejects with the spawn error (ENOENT, E2BIG, …) when it could not be started. */
export type RunProcess = (argv: readonly string[], options: ProcessOptions) => Promise<ExecResult>;

const MIB = 1024 * 1024;
const STDERR_BYTES = 8 * 1024;
/** How long the pipes are read after the command's end: a descendant outside the group may hold them open for ever. */
const PIPES_MS = 1_000;

/** What is kept of a command's outputs and when it is stopped, with the defaults. */
export function limitsOf(command: Omit<ProcessCommand, 'env'>): {
  timeoutMs: number;
  maxBytes: number;
  out: { headBytes: number; tailBytes: number; file?: string };
  err: { headBytes: number; tailBytes: number };
} {
  const { timeoutMs, headBytes = 8 * MIB, tailBytes = 0, maxBytes = 256 * MIB, outputFile: file } = command;
  return {
    // Timers cannot wait for longer.
    timeoutMs: Math.min(timeoutMs, 2 ** 31 - 1),
    maxBytes,
    out: { headBytes, tailBytes, ...(file === undefined ? {} : { file }) },
    err: { headBytes: 0, tailBytes: command.stderrBytes ?? STDERR_BYTES },
  };
}

/** Runs a command as a child of this process. Ends the command's whole group on timeout, abort or too much output. */
export const runProcess: RunProcess = async (argv, options) => new RunningProcess(argv, options).ended;

class RunningProcess {
  private readonly settle = Promise.withResolvers<ExecResult>();
  readonly ended = this.settle.promise;
  private readonly options: ProcessOptions;
  private readonly child: ChildProcess;
  private readonly maxBytes: number;
  private readonly out: OutputCollector;
  private readonly err: OutputCollector;
  private readonly deadline: NodeJS.Timeout;
  private pipesTimer: NodeJS.Timeout | undefined;
  private graceTimer: NodeJS.Timeout | undefined;
  private reason: ExecReason | undefined;
  private failure: unknown;

  constructor([command = '', ...args]: readonly string[], options: ProcessOptions) {
    this.options = options;
    this.child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const { timeoutMs, maxBytes, out, err } = limitsOf(options);
    this.maxBytes = maxBytes;
    this.out = new OutputCollector(out);
    this.err = new OutputCollector(err);
    this.deadline = setTimeout(() => this.stop('timeout'), timeoutMs);
    if (options.signal?.aborted === true) this.onAbort();
    else options.signal?.addEventListener('abort', this.onAbort, { once: true });
    this.listen();
  }

  private readonly onAbort = (): void => this.stop('aborted');

  private listen(): void {
    const { child } = this;
    child.stdout?.on('data', (chunk: Buffer) => this.takeOutput(chunk));
    child.stderr?.on('data', (chunk: Buffer) => this.err.push(chunk));
    // A command may end before it has read all of its input: that is not a failure.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(this.options.stdin);
    child.once('error', (error) => {
      this.release();
      this.out.end();
      this.settle.reject(error);
    });
    child.once('exit', () => this.onExit());
    child.once('close', (code, signal) => this.onClose(code, signal));
  }

  private takeOutput(chunk: Buffer): void {
    try {
      this.out.push(chunk);
    } catch (error) {
      // The host's disk is full or the folder is gone, so the output cannot be given back whole.
      this.failure ??= error;
      this.kill();
    }
    if (this.out.bytes > this.maxBytes) this.stop('output-limit');
  }

  /** Stops the command for a reason; a later reason changes nothing. */
  private stop(reason: ExecReason): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    const { termGraceMs } = this.options;
    if (termGraceMs === undefined) this.kill();
    else {
      this.kill('SIGTERM');
      this.graceTimer = setTimeout(() => this.kill(), termGraceMs);
    }
  }

  private kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  private onExit(): void {
    this.reason ??= 'exit';
    // Processes that the command left running in its group end with it; in a sandbox the kernel has ended them.
    this.kill();
    this.pipesTimer = setTimeout(() => {
      this.kill();
      this.child.stdout?.destroy();
      this.child.stderr?.destroy();
    }, PIPES_MS);
  }

  private onClose(code: number | null, signal: NodeJS.Signals | null): void {
    this.release();
    const { head, tail, truncated } = this.out.end();
    const { failure } = this;
    if (failure !== undefined) {
      this.settle.reject(failure instanceof Error ? failure : new Error(String(failure)));
      return;
    }
    const stderr = this.err.end();
    this.settle.resolve({
      stdout: head,
      tail,
      bytes: this.out.bytes,
      truncated,
      stderr: (stderr.truncated ? stderr.tail : stderr.head).toString('utf8'),
      ...(signal === null ? {} : { killedBy: signal }),
      exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]),
      reason: this.reason ?? 'exit',
    });
  }

  /** Clears the timers, and stops listening for an abort. */
  private release(): void {
    clearTimeout(this.deadline);
    clearTimeout(this.pipesTimer);
    clearTimeout(this.graceTimer);
    this.options.signal?.removeEventListener('abort', this.onAbort);
  }
}
