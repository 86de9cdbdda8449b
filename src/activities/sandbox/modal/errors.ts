/** What Modal's SDK throws, as our failures: what is gone, what no retry mends, what may be tried again. */
import type { ApplicationFailure } from '@temporalio/common';
import { FailureType, terminal } from '../../../shared/base/failures.ts';

/** gRPC status codes, as far as they are told apart here. */
const STATUS = {
  1: 'CANCELLED',
  2: 'UNKNOWN',
  3: 'INVALID_ARGUMENT',
  4: 'DEADLINE_EXCEEDED',
  5: 'NOT_FOUND',
  6: 'ALREADY_EXISTS',
  7: 'PERMISSION_DENIED',
  8: 'RESOURCE_EXHAUSTED',
  9: 'FAILED_PRECONDITION',
  13: 'INTERNAL',
  14: 'UNAVAILABLE',
  16: 'UNAUTHENTICATED',
} as const;
type StatusName = (typeof STATUS)[keyof typeof STATUS];

/** The SDK passes on the errors of its gRPC library, and turns some into classes of its own. */
export function statusOf(error: unknown): StatusName | undefined {
  if (!(error instanceof Error)) return undefined;
  switch (error.name) {
    case 'NotFoundError':
      return 'NOT_FOUND';
    case 'AlreadyExistsError':
      return 'ALREADY_EXISTS';
    // Thrown for a sandbox that has ended before, or while, it was asked for.
    case 'ConflictError':
      return 'FAILED_PRECONDITION';
    case 'ResourceExhaustedError':
      return 'RESOURCE_EXHAUSTED';
    default: {
      const { code } = error as { code?: unknown };
      return typeof code === 'number' ? STATUS[code as keyof typeof STATUS] : undefined;
    }
  }
}

/** Takes the worker's Modal token out of texts, whoever put it there. */
export type Scrub = (text: string) => string;

export const createScrub =
  (secrets: readonly string[]): Scrub =>
  (text) =>
    secrets.reduce((clean, secret) => clean.replaceAll(secret, '[the Modal token]'), text);

/**
 * The failure to throw for something that Modal did not do. `what` says what was tried, on what.
 * The original is no `cause`: it goes into histories, and only its text is known to be clean.
 */
export function modalFailure(what: string, error: unknown, scrub: Scrub): Error | ApplicationFailure {
  const status = statusOf(error);
  const text = scrub(error instanceof Error ? error.message : String(error)).slice(0, 2_000);
  const message = `${what} failed: ${text}`;
  switch (status) {
    case 'UNAUTHENTICATED':
    case 'PERMISSION_DENIED':
      return terminal(
        FailureType.SandboxUnavailable,
        message,
        'Modal refuses the worker’s token. Correct MODAL_TOKEN_ID and MODAL_TOKEN_SECRET (or sandbox.modal.environment) and start the worker again.',
      );
    case 'INVALID_ARGUMENT':
      return terminal(FailureType.SandboxUnavailable, message, 'Correct sandbox.modal in temporal.config.ts.');
    case 'RESOURCE_EXHAUSTED':
      return new Error(
        `${message}\nModal’s limit for this workspace is reached, or it has no such machine now; this is tried again. Lower sandbox.maxSandboxes or sandbox.modal.cpu and memoryMb, or have the limit raised.`,
      );
    default:
      return new Error(message);
  }
}
