/** How git runs for checkpoints: inside the sandbox, over a git folder that no agent's command ever sees. */
import type { ExecOptions, ExecResult, SandboxProvider } from '../provider.ts';

export const CHECKPOINT_AUTHOR = { name: 'agent', email: 'agent@localhost' };

/** Runs a shell script with GIT_DIR and GIT_WORK_TREE set; the agent's own configuration has no say. */
export function checkpointExec(
  provider: SandboxProvider,
  id: string,
  script: string,
  args: readonly string[],
  options: Omit<ExecOptions, 'git' | 'env'> & { env?: Record<string, string> },
): Promise<ExecResult> {
  const paths = provider.paths(id);
  return provider.exec(id, ['/bin/sh', '-c', script, 'sh', ...args], {
    ...options,
    git: true,
    env: {
      GIT_DIR: paths.git,
      GIT_WORK_TREE: paths.workspace,
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_ATTR_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: CHECKPOINT_AUTHOR.name,
      GIT_AUTHOR_EMAIL: CHECKPOINT_AUTHOR.email,
      GIT_COMMITTER_NAME: CHECKPOINT_AUTHOR.name,
      GIT_COMMITTER_EMAIL: CHECKPOINT_AUTHOR.email,
      LC_ALL: 'C',
      ...options.env,
    },
  });
}

/** What a checkpoint's script said went wrong; `full` and `too large` are told to the agent, not retried. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
  readonly kind: 'full' | 'too-large' | 'other';
  constructor(id: string, what: string, result: Pick<ExecResult, 'reason' | 'exitCode' | 'stderr'>) {
    const words = result.stderr.trim().slice(-2_000);
    super(`${what} of sandbox ${id} ended by ${result.reason} with ${result.exitCode}: ${words}`);
    this.kind = /No space left|Disk quota/i.test(words)
      ? 'full'
      : result.reason === 'output-limit' ||
          result.exitCode === 128 + 25 ||
          /File too large|File size limit exceeded/i.test(words)
        ? 'too-large'
        : 'other';
  }
}
