/** One subprocess, by argv, in a process group of its own; the first reason for its end wins. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { OutputCollector } from './output.ts';
import type { ExecReason, ExecResult } from './provider.ts';

export type ProcessOptions = {
  cwd?: string;
  env: Readonly<Record<string, string>>;
  stdin?: Buffer | string;
  timeoutMs: number;
  signal?: AbortSignal;
  headBytes?: number;
  tailBytes?: number;
  maxBytes?: number;
  /** Path on the host for the whole of an output that is cut. */
  outputFile?: string;
};

const MIB = 1024 * 1024;
const STDERR_BYTES = 8 * 1024;
/** A descendant outside the group that keeps our pipes open is not waited for. */
const PIPES_MS = 1_000;

/**
 * Runs a command to its end. Kills its whole group with SIGKILL on timeout, abort or too much output.
 * @throws the spawn error (ENOENT, E2BIG, …) when it could not be started.
 */
export function runProcess(argv: readonly string[], options: ProcessOptions): Promise<ExecResult> {
  const [command = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const out = new OutputCollector({
      headBytes: options.headBytes ?? 8 * MIB,
      tailBytes: options.tailBytes ?? 0,
      ...(options.outputFile === undefined ? {} : { file: options.outputFile }),
    });
    const err = new OutputCollector({ headBytes: 0, tailBytes: STDERR_BYTES });
    const maxBytes = options.maxBytes ?? 256 * MIB;
    let reason: ExecReason | undefined;
    let failure: unknown;

    const end = (why: ExecReason) => {
      reason ??= why;
      kill();
    };
    const kill = () => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    };
    const onAbort = () => end('aborted');
    const timer = setTimeout(() => end('timeout'), Math.min(options.timeoutMs, 2 ** 31 - 1));
    let pipes: NodeJS.Timeout | undefined;
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
      options.signal?.removeEventListener('abort', onAbort);
    };
    child.once('error', (error) => {
      settle();
      out.end();
      reject(error);
    });
    child.once('exit', () => {
      reason ??= 'exit';
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
      const { head: start, tail: rest } = err.end();
      resolve({
        stdout: head,
        tail,
        bytes: out.bytes,
        truncated,
        stderr: (err.bytes > STDERR_BYTES ? rest : start).toString('utf8'),
        exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]),
        reason: reason ?? 'exit',
      });
    });
  });
}
