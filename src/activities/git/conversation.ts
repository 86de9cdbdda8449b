/**
 * A git process over a mirror that is asked many times, for `--stdin` modes that answer each request in NUL-terminated
 * fields. It ends with its input, so it does not outlive a worker that was killed.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { gitEnvironment } from './environment.ts';
import { type Environment } from '../support/environment.ts';

/** What was read counts once end() has resolved: a git that fails may have said something before. */
export interface GitProcess {
  send(line: string): void;
  /** The next field, as UTF-8. Rejects when git has ended, was stopped, or is silent for too long. */
  next(): Promise<string>;
  /** Ends git's input and waits for it. Rejects unless it ended with 0, said all of it in next(), and no word of error. */
  end(): Promise<void>;
  /** Kills it. Never throws. */
  stop(): void;
}

/** undefined: this host's git does not answer before its input ends, as was found out earlier. */
export type Converse = (dir: string, argv: readonly string[], signal?: AbortSignal) => GitProcess | undefined;

/** A git that holds its answers back is found out by the first that does not come. */
const FIRST_ANSWER_MS = 15_000;
const ANSWER_MS = 900_000;
const STDERR_CHARS = 4_000;

/** For local plumbing only: no credentials, no configuration of user or system. */
export function createConverse(env: Environment, firstAnswerMs = FIRST_ANSWER_MS): Converse {
  let answers = true;
  return (dir, argv, signal) => {
    if (!answers) return undefined;
    return converse(dir, argv, { env, signal, firstAnswerMs, onUnanswered: () => (answers = false) });
  };
}

type Options = { env: Environment; signal: AbortSignal | undefined; firstAnswerMs: number; onUnanswered: () => void };

function converse(dir: string, argv: readonly string[], options: Options): GitProcess {
  const { env, signal, firstAnswerMs, onUnanswered } = options;
  const credentials = { helper: false, sshAgent: false, token: false };
  // Before 2.49 git keeps the answers of `merge-tree --stdin` in its buffer when its output is a pipe.
  const child: ChildProcessWithoutNullStreams = spawn('stdbuf', ['-o0', 'git', ...argv], {
    cwd: dir,
    env: { ...gitEnvironment(env, { remote: null, credentials }), GIT_DIR: dir },
    ...(signal === undefined ? {} : { signal }),
    killSignal: 'SIGKILL',
  });
  const fields: string[] = [];
  let rest = '';
  let stderr = '';
  let answered = false;
  let failure: Error | undefined;
  let wake: (() => void) | undefined;
  const failed = (what: string, cause?: unknown): void => {
    failure ??= new Error(`git ${argv.join(' ')} on ${dir} ${what}: ${stderr.trim()}`, { cause });
    wake?.();
  };
  const closed = once(child, 'close').then(
    ([code, by]) => failed(`ended with ${by ?? `code ${code}`}`),
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') onUnanswered();
      failed('could not go on', error);
    },
  );
  child.stdin.on('error', (error) => failed('takes no more requests', error));
  child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString('utf8')).slice(-STDERR_CHARS)));
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString('latin1')).split('\0');
    rest = parts.pop() ?? '';
    for (const part of parts) fields.push(Buffer.from(part, 'latin1').toString('utf8'));
    answered ||= fields.length > 0;
    if (fields.length > 0) wake?.();
  });
  const stop = (): void => void child.kill('SIGKILL');

  async function answer(): Promise<void> {
    const ms = answered ? ANSWER_MS : firstAnswerMs;
    const timer = setTimeout(() => {
      if (!answered) onUnanswered();
      failed(`did not answer for ${ms} ms`);
      stop();
    }, ms);
    await new Promise<void>((resolve) => (wake = resolve));
    clearTimeout(timer);
    wake = undefined;
  }

  return {
    send: (line) => void child.stdin.write(`${line}\n`),
    async next() {
      while (fields.length === 0 && failure === undefined) await answer();
      const field = fields.shift();
      if (field === undefined) throw failure ?? new Error('unreachable: a field or a failure was waited for');
      return field;
    },
    async end() {
      child.stdin.end();
      await closed;
      if (child.exitCode !== 0 || stderr !== '') throw failure ?? new Error('unreachable: it has closed');
      if (fields.length > 0 || rest !== '') {
        throw new Error(`git ${argv.join(' ')} on ${dir} said more than it was asked: ${fields[0] ?? rest}`);
      }
    },
    stop,
  };
}
