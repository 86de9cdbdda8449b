/** The checks of one commit, and the ref that names the newest commit which passed them. */
import type { CheckActivities } from '../../shared/contracts/activities.ts';
import { createRunChecks, type ChecksDeps } from './run-checks.ts';

/** On the reserved queue: each takes a sandbox. */
export function createCheckActivities(deps: ChecksDeps): CheckActivities {
  return { runChecks: createRunChecks(deps) };
}
