/** One subprocess, by argv, in a process group of its own; the first reason for its end wins. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { OutputCollector } from './output.ts';

/** Plain data, so that another process can run it. */
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
  /** SIGTERM first, and SIGKILL only so much later. Default: SIGKILL at once. */
  termGraceMs?: number;
};
export type ProcessOptions = ProcessCommand & { signal?: AbortSignal };

/** The first reason wins. */
export type ExecReason = 'exit' | 'timeout' | 'aborted' | 'output-limit';

export type ExecResult = {
  stdout: Buffer;
  /** The end of standard output where `stdout` does not hold all of it. */
  tail: Buffer;
  /** Bytes written to standard output in all. */
  bytes: number;
  truncated: boolean;
  /** The last of standard error. */
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
/** A descendant outside the group that keeps our pipes open is not waited for. */
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

/** In this process. Ends the command's whole group on timeout, abort or too much output. */
export const runProcess: RunProcess = (argv, options) => {
  const [command = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const { timeoutMs, maxBytes, ...limits } = limitsOf(options);
    const out = new OutputCollector(limits.out);
    const err = new OutputCollector(limits.err);
    let reason: ExecReason | undefined;
    let failure: unknown;

    const end = (why: ExecReason) => {
      if (reason !== undefined) return;
      reason = why;
      if (options.termGraceMs === undefined) kill();
      else {
        kill('SIGTERM');
        overdue = setTimeout(kill, options.termGraceMs);
      }
    };
    const kill = (name: NodeJS.Signals = 'SIGKILL') => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, name);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    };
    const onAbort = () => end('aborted');
    const timer = setTimeout(() => end('timeout'), timeoutMs);
    let pipes: NodeJS.Timeout | undefined;
    let overdue: NodeJS.Timeout | undefined;
    if (options.signal?.aborted === true) onAbort();
    else options.signal?.addEventListener('abort', onAbort, { once: true });

    child.stdout?.on('data', (chunk: Buffer) => {
      try {
        out.push(chunk);
      } catch (error) {
        // The host's disk is full or the folder is gone: the command's result would be a lie.
        failure ??= error;
        kill();
      }
      if (out.bytes > maxBytes) end('output-limit');
    });
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
    // A command that ends before it has read all of its input is no failure of ours.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.stdin);

    const settle = () => {
      clearTimeout(timer);
      clearTimeout(pipes);
      clearTimeout(overdue);
      options.signal?.removeEventListener('abort', onAbort);
    };
    child.once('error', (error) => {
      settle();
      out.end();
      reject(error);
    });
    child.once('exit', () => {
      reason ??= 'exit';
      // What it left running in its group ends with it; in a sandbox the kernel has seen to that.
      kill();
      pipes = setTimeout(() => {
        kill();
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, PIPES_MS);
    });
    child.once('close', (code, signal) => {
      settle();
      const { head, tail, truncated } = out.end();
      if (failure !== undefined) {
        reject(failure instanceof Error ? failure : new Error(String(failure)));
        return;
      }
      const { head: start, tail: rest, truncated: cut } = err.end();
      resolve({
        stdout: head,
        tail,
        bytes: out.bytes,
        truncated,
        stderr: (cut ? rest : start).toString('utf8'),
        ...(signal === null ? {} : { killedBy: signal }),
        exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]),
        reason: reason ?? 'exit',
      });
    });
  });
};
