/** Failures that end the command, and what it exits with. */
import { ServiceError } from '@temporalio/client';
import { ConfigError } from '../host/load-config.ts';
import { FailureType, failureTypeOf, rootMessage } from '../shared/base/failures.ts';

/** Documented in --help. */
export const EXIT = { complete: 0, failed: 1, usage: 2, detached: 130 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The command cannot go on. The message is one paragraph: what was tried, on what, what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;

  constructor(message: string, options: { exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.exitCode = options.exitCode ?? EXIT.failed;
  }
}

/** What the person gave cannot be used; nothing was started. */
export const usageError = (message: string, cause?: unknown): CliError =>
  new CliError(message, { exitCode: EXIT.usage, cause });

/** What is said and what the process exits with; a stack only when `debug`. */
export function describeFailure(error: unknown, debug: boolean): { message: string; exitCode: ExitCode } {
  const message = debug && error instanceof Error ? stackOf(error) : rootOf(error);
  return { message, exitCode: exitCodeOf(error) };
}

/** What the checks before the start find: nothing was started. */
const UNUSABLE: ReadonlySet<string> = new Set([
  FailureType.BadInput,
  FailureType.ModelUnusable,
  FailureType.SandboxUnavailable,
]);

function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CliError) return error.exitCode;
  if (error instanceof ConfigError) return EXIT.usage;
  const type = failureTypeOf(error);
  return type !== undefined && UNUSABLE.has(type) ? EXIT.usage : EXIT.failed;
}

/** Our own errors say it all; those of Temporal's client wrap one that says more. */
function rootOf(error: unknown): string {
  if (error instanceof ServiceError) return `${error.message}: ${rootMessage(error)}`;
  return error instanceof Error ? error.message : String(error);
}

function stackOf(error: Error): string {
  const stacks: string[] = [];
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    stacks.push(at.stack ?? at.message);
  }
  return stacks.join('\ncaused by: ');
}
