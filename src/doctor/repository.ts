/** What a run would find in a local repository, and what of it would be refused or may surprise. */
import { type LocalRepository, lookAtRepository, type WorkTree } from '../host/local-repository.ts';
import type { DoctorFinding } from './finding.ts';

export type RepositoryRequest = {
  /** Absolute. */
  path: string;
  /** A person named it: then a run is refused for what it lacks. Otherwise it is merely where the command runs. */
  named: boolean;
};

/** @returns nothing where the command runs in no repository and none was named. */
export async function examineRepository(
  { path, named }: RepositoryRequest,
  env: NodeJS.ProcessEnv,
): Promise<DoctorFinding[]> {
  const seen = await lookAtRepository(path, { env });
  const refused = named ? { blocks: true } : {};
  if (seen.kind !== 'repository') {
    if (seen.kind === 'none' && !named) return [];
    return [{ name: 'repository', state: 'missing', found: seen.why, remedy: seen.remedy, ...refused }];
  }
  const lack = whatItLacks(seen, named);
  return [
    lack === null
      ? { name: 'repository', state: 'full', found: identity(seen) }
      : { name: 'repository', state: 'missing', ...lack, ...refused },
    ...(seen.workTree === null ? [] : [changes(seen.workTree), ...drift(seen.workTree)]),
    ...branches(seen),
    {
      name: 'repository: remotes',
      state: 'full',
      found: seen.remotes.map(({ name, url }) => `${name} ${url}`).join(', ') || 'none',
    },
  ];
}

function identity({ root, bare, head, workTree }: LocalRepository): string {
  const tree = workTree?.linked === true ? `, looked at from its work tree ${workTree.path}` : '';
  return `${root}${bare ? ' (bare)' : ''}, a run starts from ${head.branch ?? `the commit ${head.commit?.slice(0, 10)}`}${tree}`;
}

/** The one thing that keeps a run from starting; null where none does. */
function whatItLacks(
  { root, head, shallow, workTree }: LocalRepository,
  named: boolean,
): Pick<DoctorFinding, 'found' | 'remedy'> | null {
  if (named && workTree !== null && workTree.folder !== '') {
    return { found: `${workTree.folder} is a folder inside the repository ${root}`, remedy: `Name ${root} instead.` };
  }
  if (head.commit === null) {
    const found =
      head.branch === null
        ? `the HEAD of ${root} leads to no commit`
        : `${root} has no commit on ${head.branch}, its HEAD`;
    return { found, remedy: 'Commit something there: agents begin from a commit. Or name another branch with --base.' };
  }
  if (!shallow) return null;
  const remedy = `git fetch --unshallow in ${root} gets the rest; or name the repository that it is a clone of.`;
  return { found: `${root} is a shallow clone, of which git fetches nothing`, remedy };
}

function changes({ path, changes: found }: WorkTree): DoctorFinding {
  const name = 'repository: changes';
  if (found === null) {
    const remedy = `git status in ${path} shows them: the repository configures a filter of its own, which is not run here.`;
    return { name, state: 'partly', found: 'uncommitted changes were not looked for', remedy };
  }
  const { files, staged, modified, untracked } = found;
  if (files === 0) return { name, state: 'full', found: `none that are not committed in ${path}` };
  return {
    name,
    state: 'partly',
    found: `${files} not committed in ${path}: ${staged} staged, ${modified} modified, ${untracked} untracked`,
    remedy: 'They are not part of a run: commit them first if they should be.',
  };
}

function drift({ branch, drift: found }: WorkTree): DoctorFinding[] {
  if (found === null || branch === null) return [];
  const name = 'repository: upstream';
  const text = `as of the last fetch ${branch} is ${found.ahead} ahead of ${found.upstream} and ${found.behind} behind it`;
  if (found.behind === 0) return [{ name, state: 'full', found: text }];
  const remedy = 'A run starts from the commits that are here: git pull first if it should have those of the upstream.';
  return [{ name, state: 'partly', found: text, remedy }];
}

function branches({ checkedOut, bare }: LocalRepository): DoctorFinding[] {
  if (checkedOut.length === 0) return [];
  const list = checkedOut.map(({ branch, path }) => `${branch} in ${path}`).join(', ');
  const found = bare ? list : `${list}; what is to land on one of them lands on a branch beside it`;
  return [{ name: 'repository: checked out', state: 'full', found }];
}
