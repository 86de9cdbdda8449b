import type { ApplicationFailure } from '@temporalio/common';
import { FailureType, terminal } from '../../shared/base/failures.ts';

/** The failure after which a holder takes another sandbox and goes on. */
export function gone(id: string, cause?: unknown): ApplicationFailure {
  const why = cause instanceof Error ? ` (${cause.message})` : '';
  return terminal(FailureType.SandboxGone, `Sandbox ${id} is not on this host any more${why}.`, undefined, cause);
}
