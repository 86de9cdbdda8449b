/** One command in a sandbox on Modal: the runner is started there, fed, listened to, and told when to stop. */
import type { ContainerProcess, Sandbox } from 'modal';
import {
  BEAT_MS,
  commandLine,
  RunnerAnswer,
  type RunnerCommand,
  type RunnerResult,
  runnerArgv,
  RunnerError,
} from './runner.ts';

type BinaryProcess = ContainerProcess<Uint8Array>;

/** Of standard input in one request. */
const PIECE_BYTES = 1024 * 1024;
/** The runner needs a moment to kill, and Modal to start it; then the command is given up. */
const GRACE_MS = 90_000;
/** How long an answer may take after an abort. */
const ABORT_MS = 45_000;
const ABORTED: RunnerResult = {
  stdout: Buffer.alloc(0),
  tail: Buffer.alloc(0),
  bytes: 0,
  truncated: false,
  stderr: '',
  exitCode: 137,
  reason: 'aborted',
};

export type RunnerExec = Omit<RunnerCommand, 'stdinBytes'> & { stdin?: Buffer | string; signal?: AbortSignal };

/**
 * Runs a command to its end; all of its processes are gone afterwards, or it throws.
 * @throws RunnerError when it could not be run or its answer was cut short, and what the SDK throws.
 */
export async function execByRunner(sandbox: Sandbox, command: RunnerExec): Promise<RunnerResult> {
  const { stdin, signal, ...rest } = command;
  if (signal?.aborted === true) return ABORTED;
  const input = stdin === undefined ? undefined : Buffer.from(stdin);
  // Modal takes whole seconds, and kills only the runner then: this is for a runner that is stuck.
  const timeoutMs = Math.ceil((rest.timeoutMs + GRACE_MS) / 1_000) * 1_000;
  const process = await sandbox.exec(runnerArgv(), { mode: 'binary', workdir: '/', timeoutMs });
  const line = commandLine({ ...rest, stdinBytes: input?.length });
  const feed = new Feed(process);
  feed.write(input === undefined ? line : Buffer.concat([line, input]));
  const beats = setInterval(() => feed.write(Buffer.from('.')), BEAT_MS);
  const reader = process.stdout.getReader();
  let overdue: NodeJS.Timeout | undefined;
  const isAborted = () => signal?.aborted === true;
  const abort = () => {
    feed.write(Buffer.from('a'));
    overdue = setTimeout(() => void reader.cancel().catch(() => undefined), ABORT_MS);
  };
  signal?.addEventListener('abort', abort, { once: true });
  if (isAborted()) abort();
  const answer = new RunnerAnswer();
  try {
    while (!answer.ended) {
      const { done, value } = await reader.read();
      if (done) break;
      answer.push(value);
    }
    const result = answer.result();
    if (result !== undefined) return result;
  } finally {
    clearInterval(beats);
    clearTimeout(overdue);
    signal?.removeEventListener('abort', abort);
    // Ends the stream's call; whether that works does not matter any more.
    void reader.cancel().catch(() => undefined);
    feed.stop();
  }
  throw new RunnerError(
    `the runner of \`${describe(rest.argv)}\` ended without a result${await lastWords(process)}`,
    'EPIPE',
  );
}

const describe = (argv: readonly string[]): string => argv.join(' ').replace(/\s+/g, ' ').slice(0, 200);

/** Standard input in order, in pieces. What it meets, the output tells. */
class Feed {
  private readonly writer: WritableStreamDefaultWriter<Uint8Array>;
  private stopped = false;
  private last: Promise<void> = Promise.resolve();

  constructor(process: BinaryProcess) {
    this.writer = process.stdin.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
    this.writer.closed.catch(() => undefined);
  }

  write(bytes: Buffer): void {
    this.last = this.last.then(() => this.send(bytes)).catch(() => undefined);
  }

  stop(): void {
    this.stopped = true;
  }

  private async send(bytes: Buffer): Promise<void> {
    for (let from = 0; from < bytes.length && !this.stopped; from += PIECE_BYTES) {
      await this.writer.write(bytes.subarray(from, from + PIECE_BYTES));
    }
  }
}

/** What the runner said on its standard error, which it has for its own failures only. */
async function lastWords(process: BinaryProcess): Promise<string> {
  try {
    const text = await Promise.race([process.stderr.readText(), after(5_000, '')]);
    return text.trim() === '' ? '' : `: ${text.trim().slice(-1_000)}`;
  } catch {
    return '';
  }
}

function after<T>(ms: number, value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(resolve, ms, value).unref());
}
