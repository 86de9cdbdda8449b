/** The branch that a run lands on. */
import type { RepositoryLocation } from '../../host/repository.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { defaultBranch } from '../../shared/base/ids.ts';
import { branchRef, checkRef } from '../git/names.ts';

/**
 * The branch that was asked for, or the run's own; a branch that is checked out in an ordinary repository cannot
 * be pushed to, so another one takes its place and the notes say so. So it is with `into`, a branch that gets the work
 * by a pull request only.
 * @throws terminal BadInput for a name that git does not allow.
 */
export function chooseTarget(options: {
  location: RepositoryLocation;
  runId: string;
  branch: string | undefined;
  into?: string | undefined;
}): { target: string; notes: string[] } {
  const { location, runId, branch, into } = options;
  const requested = branch?.replace(/^refs\/heads\//, '') ?? defaultBranch(runId);
  checkRef(branchRef(requested));
  if (requested === into) {
    const target = defaultBranch(runId);
    return { target, notes: [`Work lands on ${target}, and is proposed to ${into} by a pull request at the end.`] };
  }
  if (location.kind !== 'ordinary' || !location.checkedOut.includes(requested)) return { target: requested, notes: [] };
  const target = freeBranch(defaultBranch(runId), location.checkedOut);
  const note =
    `${requested} is checked out in ${location.repo.location}, and git does not let anyone push to a checked-out branch: ` +
    `work lands on ${target} instead.`;
  return { target, notes: [note] };
}

function freeBranch(own: string, checkedOut: readonly string[]): string {
  for (const name of [own, `${own}-2`, `${own}-3`, `${own}-4`]) if (!checkedOut.includes(name)) return name;
  throw terminal(FailureType.BadInput, `${own} and its alternatives are all checked out`, 'Name another branch.');
}

/** How the owner of an ordinary repository gets the work: nothing in the work tree moves by itself. */
export function landingNote(location: RepositoryLocation, target: string): string | undefined {
  if (location.kind !== 'ordinary') return undefined;
  const path = location.repo.location;
  const quoted = /^[A-Za-z0-9_./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
  return `Work lands on the branch ${target} of ${path}. To take it over: git -C ${quoted} merge --ff-only ${target}`;
}
