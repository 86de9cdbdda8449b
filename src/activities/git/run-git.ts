/** Runs git: argv without a shell, a scrubbed environment, a deadline, the whole process group ended with it. */
import { type ExecResult, type RunProcess, runProcess } from '../process/run-process.ts';
import type { GitOutput } from './contract.ts';
import { type Environment, type GitCredentials, gitEnvironment, secretsOf } from './environment.ts';
import { GitError, redact } from './errors.ts';

export type GitOptions = {
  /** The repository: as GIT_DIR, so that nothing is searched for. */
  gitDir?: string;
  /** Or the folder to search from. */
  cwd?: string;
  /** What the command talks to, and what errors name. Absent: local plumbing. */
  remote?: string;
  /** Read the user's configuration though the command is local (safe.directory). */
  userConfig?: boolean;
  stdin?: string | Buffer;
  /** Exit codes that are answers; anything else throws. Default [0]. */
  ok?: readonly number[];
  signal?: AbortSignal;
  /** Default: 2 minutes for `ls-remote`, else 15 minutes. */
  timeoutMs?: number;
  /** Variables on top, such as GIT_AUTHOR_NAME. */
  env?: Record<string, string>;
};

export type Git = (argv: readonly string[], options?: GitOptions) => Promise<GitOutput>;

const LS_REMOTE_MS = 120_000;
const DEFAULT_MS = 900_000;
const TERM_GRACE_MS = 3_000;
const MAX_STDOUT = 256 * 1024 * 1024;
const STDERR_TAIL = 64 * 1024;

/** @throws GitError on an exit code that is not in `ok`, on a deadline, an abort, or when git is not there. */
export function createGit(
  options: { env?: Environment; credentials?: Partial<GitCredentials>; run?: RunProcess } = {},
): Git {
  const { env = process.env, run = runProcess } = options;
  const credentials = { helper: true, sshAgent: true, token: true, ...options.credentials };
  const secrets = secretsOf(env);
  return async (argv, command = {}) => {
    const { ok = [0], remote, gitDir, cwd } = command;
    const timeoutMs = command.timeoutMs ?? (argv[0] === 'ls-remote' ? LS_REMOTE_MS : DEFAULT_MS);
    const result = await started(run, argv, {
      cwd: cwd ?? gitDir ?? '/',
      env: {
        ...gitEnvironment(env, { remote: remote ?? null, userConfig: command.userConfig, credentials }),
        ...(gitDir === undefined ? {} : { GIT_DIR: gitDir }),
        ...command.env,
      },
      stdin: command.stdin ?? '',
      timeoutMs,
      headBytes: MAX_STDOUT,
      maxBytes: MAX_STDOUT,
      stderrBytes: STDERR_TAIL,
      // git then takes its lock files with it.
      termGraceMs: TERM_GRACE_MS,
      ...(command.signal === undefined ? {} : { signal: command.signal }),
    });
    const { stdout, code, reason } = result;
    const stderr = redact(result.stderr, secrets);
    if (reason === undefined && code !== null && ok.includes(code)) return { stdout, stderr, code };
    // Of a push the verdict is on standard output.
    const words = argv[0] === 'push' ? `${stderr}\n${redact(stdout.toString('utf8'), secrets)}` : stderr;
    throw new GitError({
      argv: argv.map((arg) => redact(arg, secrets)),
      on: redact(remote ?? gitDir ?? cwd ?? 'no repository', secrets),
      code,
      output: words.slice(-4_000),
      ...(reason === undefined ? {} : { reason }),
    });
  };
}

type Ended = { stdout: Buffer; stderr: string; code: number | null; reason?: string };

async function started(run: RunProcess, argv: readonly string[], options: Parameters<RunProcess>[1]): Promise<Ended> {
  if (options.signal?.aborted === true) {
    return { stdout: Buffer.alloc(0), stderr: '', code: null, reason: 'was cancelled before it started' };
  }
  let result: ExecResult;
  try {
    result = await run(['git', ...argv], options);
  } catch (error) {
    const because = `could not be started (${(error as Error).message})`;
    return { stdout: Buffer.alloc(0), stderr: '', code: null, reason: because };
  }
  const { stdout, stderr, exitCode } = result;
  const reason = whyEnded(result, options.timeoutMs);
  return {
    stdout,
    stderr,
    code: result.killedBy === undefined ? exitCode : null,
    ...(reason === undefined ? {} : { reason }),
  };
}

function whyEnded({ reason, killedBy }: ExecResult, timeoutMs: number): string | undefined {
  switch (reason) {
    case 'timeout':
      return `was ended after ${timeoutMs} ms without an answer`;
    case 'aborted':
      return 'was cancelled';
    case 'output-limit':
      return `was ended because it printed more than ${MAX_STDOUT} bytes`;
    case 'exit':
      return killedBy === undefined ? undefined : `was killed by ${killedBy}`;
  }
}
