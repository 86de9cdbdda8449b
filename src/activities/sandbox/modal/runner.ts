/** The worker's side of the runner in `infra/modal`: what it is told, and what it says. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { SandboxLimits } from '../../../shared/config/worker-config.ts';
import type { ExecReason, ExecResult } from '../../process/run-process.ts';
import type { Identity } from './layout.ts';

const PARTS = ['processes.py', 'disk.py', 'output.py', 'child.py', 'runner.py'];
const SOURCES = PARTS.map((name) => new URL(`../../../../infra/modal/${name}`, import.meta.url));

/** argv of the runner. Isolated from the environment and from what is installed: an agent has no say in it. */
export const runnerArgv = (): string[] => {
  const program = SOURCES.map((source) => readFileSync(source, 'utf8')).join('\n');
  return ['python3', '-I', '-S', '-c', program];
};

/** Signs of life come this often, and a command whose worker was silent for so long ends. */
export const BEAT_MS = 15_000;
const SILENCE_MS = 90_000;
const STDERR_BYTES = 8 * 1024;
const MIB = 1024 * 1024;
/** Outputs that were cut are kept whole, up to this part of the sandbox's disk. */
const OUTPUT_SHARE = 1 / 8;

export type RunnerCommand = {
  argv: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
  identity: Identity;
  /** Bytes of standard input that follow; undefined: none at all. */
  stdinBytes: number | undefined;
  timeoutMs: number;
  combine?: boolean;
  headBytes?: number;
  tailBytes?: number;
  maxBytes?: number;
  /** Absolute, inside; written by root. */
  outputFile?: string;
  limits: Pick<
    SandboxLimits,
    'processes' | 'openFiles' | 'fileSizeMb' | 'cpuSeconds' | 'outputMb' | 'diskMb' | 'files'
  >;
  /** What is counted against `diskMb` and `files`, and where the last count is kept (root's); undefined: nothing is. */
  disk?: { folders: readonly string[]; known: string };
  /** Names this process: what others have left running in the sandbox ends first. */
  worker: string;
  /** Folder of the running commands; undefined while there is none. */
  registry: string | undefined;
};

/** The line that tells the runner its command. */
export function commandLine({ identity, stdinBytes, registry, outputFile, disk, ...command }: RunnerCommand): Buffer {
  const { diskMb, files, outputMb } = command.limits;
  const line = {
    combine: false,
    headBytes: 8 * MIB,
    tailBytes: 0,
    maxBytes: outputMb * MIB,
    ...command,
    ...identity,
    stdin: stdinBytes ?? null,
    outputFile: outputFile ?? null,
    registry: registry ?? null,
    disk: disk === undefined ? null : { ...disk, mb: diskMb, files },
    outputsBytes: diskMb * MIB * OUTPUT_SHARE,
    stderrBytes: STDERR_BYTES,
    silenceMs: SILENCE_MS,
  };
  return Buffer.from(`${JSON.stringify(line)}\n`);
}

const Failure = z.object({ code: z.string(), message: z.string() });
const End = z.object({
  reason: z.enum(['exit', 'timeout', 'aborted', 'output-limit'] satisfies ExecReason[]),
  exitCode: z.number().int(),
  bytes: z.number().int().nonnegative(),
  truncated: z.boolean(),
  stderr: z.base64(),
  /** The command could not be started. */
  failure: Failure.optional(),
  /** The sandbox holds more than it may; `stopped`: so the command was stopped. */
  held: z.object({ mb: z.number(), files: z.number(), stopped: z.boolean() }).optional(),
  /** Something went wrong in the sandbox while it ran, so that nothing can be said of it. */
  fatal: Failure.optional(),
});
type End = z.infer<typeof End>;

export type RunnerResult = ExecResult & Pick<End, 'held'>;

/** The command could not be started, or its outcome is not known; `code` is the errno's name. */
export class RunnerError extends Error {
  override readonly name = 'RunnerError';
  readonly code: string;
  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

const HEADER_BYTES = 5;
const MAX_FRAME = 1 << 30;

/** Takes the runner's frames apart, in whatever pieces they come. Not trusted: it ran in the sandbox. */
export class RunnerAnswer {
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  private readonly head: Buffer[] = [];
  private tail: Buffer = Buffer.alloc(0);
  private end: End | undefined;

  get ended(): boolean {
    return this.end !== undefined;
  }

  /** @throws RunnerError when these are no frames. */
  push(chunk: Uint8Array): void {
    this.pending.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    this.pendingBytes += chunk.length;
    while (this.pendingBytes >= HEADER_BYTES && this.end === undefined) {
      const length = this.peek().readUInt32BE(1);
      if (length > MAX_FRAME) throw new RunnerError(`a frame of ${length} bytes is none of the runner's`, 'EPROTO');
      if (this.pendingBytes < HEADER_BYTES + length) return;
      const all = this.pending.length === 1 ? (this.pending[0] as Buffer) : Buffer.concat(this.pending);
      this.take(all.toString('latin1', 0, 1), all.subarray(HEADER_BYTES, HEADER_BYTES + length));
      this.pending = [all.subarray(HEADER_BYTES + length)];
      this.pendingBytes -= HEADER_BYTES + length;
    }
  }

  /** Undefined before the end was said. @throws RunnerError when the command could not be run. */
  result(): RunnerResult | undefined {
    if (this.end === undefined) return undefined;
    const { reason, exitCode, bytes, truncated, stderr, failure, held, fatal } = this.end;
    if (fatal !== undefined) throw new RunnerError(fatal.message, fatal.code);
    // As when execve itself refuses: what is too long for Linux is the caller's to know.
    if (failure?.code === 'E2BIG') throw new RunnerError(failure.message, failure.code);
    const words = Buffer.from(stderr, 'base64').toString('utf8');
    return {
      stdout: Buffer.concat(this.head),
      tail: this.tail,
      bytes,
      truncated,
      stderr: failure === undefined ? words : `${words}${failure.message}\n`,
      exitCode,
      reason,
      ...(held === undefined ? {} : { held }),
    };
  }

  /** The first bytes that are pending, without joining large frames again for each piece of them. */
  private peek(): Buffer {
    while ((this.pending[0]?.length ?? 0) < HEADER_BYTES) {
      const [first = Buffer.alloc(0), second = Buffer.alloc(0), ...rest] = this.pending;
      this.pending = [Buffer.concat([first, second]), ...rest];
    }
    return this.pending[0] as Buffer;
  }

  private take(kind: string, data: Buffer): void {
    switch (kind) {
      case 'H':
        if (data.length > 0) this.head.push(data);
        return;
      case 'T':
        this.tail = data;
        return;
      case 'E':
        try {
          this.end = End.parse(JSON.parse(data.toString('utf8')));
        } catch (error) {
          throw new RunnerError(`the runner ended with something else than its result (${String(error)})`, 'EPROTO');
        }
        return;
      default:
        throw new RunnerError(`a frame "${kind}" is none of the runner's`, 'EPROTO');
    }
  }
}
