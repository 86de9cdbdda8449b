/** Runs git: argv without a shell, a scrubbed environment, a deadline, the whole process group ended with it. */
import { spawn } from 'node:child_process';
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
export function createGit(options: { env?: Environment; credentials?: Partial<GitCredentials> } = {}): Git {
  const env = options.env ?? process.env;
  const credentials = { helper: true, sshAgent: true, token: true, ...options.credentials };
  const secrets = secretsOf(env);
  return async (argv, command = {}) => {
    const { ok = [0], remote, gitDir, cwd } = command;
    const result = await runProcess(argv, command, {
      ...gitEnvironment(env, { remote: remote ?? null, userConfig: command.userConfig, credentials }),
      ...(gitDir === undefined ? {} : { GIT_DIR: gitDir }),
      ...command.env,
    });
    const { stdout, code, reason } = result;
    const stderr = redact(result.stderr, secrets);
    if (reason === undefined && code !== null && ok.includes(code)) return { stdout, stderr, code };
    // Of a push the verdict is on standard output.
    const said = argv[0] === 'push' ? `${stderr}\n${redact(stdout.toString('utf8'), secrets)}` : stderr;
    throw new GitError({
      argv: argv.map((arg) => redact(arg, secrets)),
      on: redact(remote ?? gitDir ?? cwd ?? 'no repository', secrets),
      code,
      output: said.slice(-4_000),
      ...(reason === undefined ? {} : { reason }),
    });
  };
}

type Ended = { stdout: Buffer; stderr: string; code: number | null; reason?: string };

function runProcess(argv: readonly string[], options: GitOptions, env: Record<string, string>): Promise<Ended> {
  const { cwd, gitDir, stdin, signal } = options;
  const timeoutMs = options.timeoutMs ?? (argv[0] === 'ls-remote' ? LS_REMOTE_MS : DEFAULT_MS);
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve({ stdout: Buffer.alloc(0), stderr: '', code: null, reason: 'was cancelled before it started' });
      return;
    }
    // A session of its own: the group can be ended whole, and nothing can ask on a terminal.
    const child = spawn('git', argv, { cwd: cwd ?? gitDir ?? '/', env, detached: true, stdio: 'pipe' });
    const out: Buffer[] = [];
    let outBytes = 0;
    let stderr = '';
    let reason: string | undefined;
    let hardKill: NodeJS.Timeout | undefined;

    const killGroup = (name: NodeJS.Signals): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, name);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    };
    // TERM first: git then takes its lock files with it. The first reason is the one that is told.
    const end = (why: string): void => {
      if (reason !== undefined) return;
      reason = why;
      killGroup('SIGTERM');
      hardKill = setTimeout(() => killGroup('SIGKILL'), TERM_GRACE_MS);
    };
    const deadline = setTimeout(() => end(`was ended after ${timeoutMs} ms without an answer`), timeoutMs);
    const onAbort = (): void => end('was cancelled');
    signal?.addEventListener('abort', onAbort, { once: true });

    let settled = false;
    const settle = (ended: { code: number | null; because?: string }): void => {
      if (settled) return;
      settled = true;
      clearTimeout(deadline);
      clearTimeout(hardKill);
      signal?.removeEventListener('abort', onAbort);
      const why = reason ?? ended.because;
      resolve({ stdout: Buffer.concat(out), stderr, code: ended.code, ...(why === undefined ? {} : { reason: why }) });
    };

    child.stdout.on('data', (chunk: Buffer) => {
      outBytes += chunk.length;
      if (outBytes > MAX_STDOUT) end(`was ended because it printed more than ${MAX_STDOUT} bytes`);
      else out.push(chunk);
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = (stderr + chunk).slice(-STDERR_TAIL);
    });
    // A process that ends before it has read its input says why on standard error.
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin ?? '');
    child.on('error', (error) => settle({ code: null, because: `could not be started (${error.message})` }));
    child.on('exit', () => {
      // Something that git left behind may hold its pipes open.
      setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, TERM_GRACE_MS).unref();
    });
    child.on('close', (code, by) => settle({ code, ...(code === null ? { because: `was killed by ${by}` } : {}) }));
  });
}
