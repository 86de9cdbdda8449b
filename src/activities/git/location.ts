/** What a person may name as a repository, before git gets to see it. */
import { realpath } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { RepositoryRef } from '../../shared/contracts/run.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { repositoryKey } from '../../shared/base/ids.ts';
import { PROTOCOLS } from './environment.ts';
import { GitError, redact } from './errors.ts';
import { createGit, type Git } from './run-git.ts';

export type RepositoryLocation = {
  repo: RepositoryRef;
  kind: 'url' | 'bare' | 'ordinary';
  /** Branches that are checked out in this local repository or its worktrees: a push to one is refused. */
  checkedOut: string[];
};

const ABSOLUTE = 'Give a URL (https://…, ssh://…, git@host:path) or an absolute path.';

/**
 * @param location a URL, `host:path` as ssh takes it, or an absolute path of a bare or ordinary repository.
 * @throws terminal BadInput for what is not allowed, RepositoryUnusable for a path without a repository.
 */
export async function validateLocation(location: string, git: Git = createGit()): Promise<RepositoryLocation> {
  const refuse = (why: string, remedy = ABSOLUTE): never => {
    throw terminal(FailureType.BadInput, `repository "${redact(printable(location))}" ${why}`, remedy);
  };
  if (printable(location) !== location || location.trim() !== location || location === '') {
    refuse('is empty, or has control characters or spaces around it');
  }
  if (location.startsWith('-')) refuse('looks like an option');
  if (/^[A-Za-z0-9+.-]+::/.test(location)) refuse('names a transport helper');
  if (location.startsWith('/')) return inspectPath(location, git);

  if (/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(location)) {
    if (!URL.canParse(location)) return refuse('is not a URL');
    const url = new URL(location);
    const protocol = url.protocol.slice(0, -1);
    if (!PROTOCOLS.some((known) => known === protocol))
      refuse(`has the protocol ${protocol}`, `Use one of ${PROTOCOLS.join(', ')}.`);
    if (protocol === 'file') {
      if (url.host !== '') refuse('is a file on another host');
      return inspectPath(fileURLToPath(url), git);
    }
    if (url.password !== '' || (url.username !== '' && protocol !== 'ssh')) {
      refuse(
        'has user-info in it',
        'Leave it out: the worker logs in by your credential helper, ssh agent or AGENTSWARM_GIT_TOKEN.',
      );
    }
    if (url.search !== '' || url.hash !== '') refuse('has a query or fragment', 'Leave out what follows the path.');
    if (url.hostname === '' || url.hostname.startsWith('-') || url.username.startsWith('-'))
      refuse('has no proper host');
    if (url.pathname.replace(/\/+/g, '') === '') refuse('has no path');
    return byUrl(location);
  }
  const scp = /^(?:([A-Za-z0-9._][A-Za-z0-9._-]*)@)?([A-Za-z0-9][A-Za-z0-9.-]*):(?![-:])([^\s].*)$/.exec(location);
  if (scp === null) return refuse('is neither a URL nor an absolute path');
  return byUrl(location);
}

function byUrl(location: string): RepositoryLocation {
  return { repo: { location, key: repositoryKey(location) }, kind: 'url', checkedOut: [] };
}

/** The repository is the user's own, so git may read it in place; hooks and fsmonitor are off. */
async function inspectPath(path: string, git: Git): Promise<RepositoryLocation> {
  const unusable = (why: string, remedy: string, cause?: unknown): Error =>
    terminal(FailureType.RepositoryUnusable, `${path} ${why}`, remedy, cause);
  let real: string;
  try {
    real = await realpath(path);
  } catch (error) {
    throw unusable(`cannot be opened (${(error as NodeJS.ErrnoException).code})`, 'Check the path.', error);
  }
  try {
    const options = { cwd: real, userConfig: true };
    const prefix = (await git(['rev-parse', '--show-prefix'], options)).stdout.toString('utf8').trim();
    if (prefix !== '')
      throw unusable('is a folder inside a repository', `Name the repository: ${real.slice(0, -prefix.length)}`);
    const listed = (await git(['worktree', 'list', '--porcelain', '-z'], options)).stdout.toString('utf8');
    const trees = listed.split('\0\0').map((block) => block.split('\0'));
    const main = trees[0]?.find((line) => line.startsWith('worktree '))?.slice('worktree '.length);
    if (main === undefined) throw new Error(`git worktree list in ${real} named no work tree`);
    const location = await realpath(main);
    const checkedOut = trees.flatMap((tree) => {
      const branch = tree.find((line) => line.startsWith('branch refs/heads/'));
      return branch === undefined ? [] : [branch.slice('branch refs/heads/'.length)];
    });
    const bare = trees[0]?.includes('bare') === true;
    return { repo: { location, key: repositoryKey(location) }, kind: bare ? 'bare' : 'ordinary', checkedOut };
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    if (/dubious ownership/.test(error.output)) {
      const remedy = `If you trust it: git config --global --add safe.directory ${real}`;
      throw unusable('belongs to another user, so git does not read it', remedy, error);
    }
    if (error.code === null) throw error;
    throw unusable('is not a git repository', 'Name its top folder, or make one with git init.', error);
  }
}

const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
