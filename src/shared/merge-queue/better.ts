/** Whether a fix has made a branch that fails better without making it whole. Pure. */
import type { CheckRun } from '../contracts/checks.ts';

type Failing = Pick<CheckRun, 'name' | 'status' | 'errors'>;

/**
 * Errors are gone and none came: several fixes that each mend a part can land one by one. Both have to be all checks,
 * not only those up to the first that failed.
 */
export function isBetter(checks: readonly Failing[], tip: readonly Failing[]): boolean {
  const [left, before] = [errorsOf(checks), errorsOf(tip)];
  return left.size > 0 && left.size < before.size && [...left].every((error) => before.has(error));
}

/** A check that failed without saying how is an error of its own. */
const errorsOf = (checks: readonly Failing[]): Set<string> =>
  new Set(
    checks
      .filter(({ status }) => status !== 'passed')
      .flatMap(({ name, errors }) =>
        errors.length > 0 ? errors.map(({ signature }) => JSON.stringify([name, signature])) : [JSON.stringify([name])],
      ),
  );
