/**
 * Which repository a person means: the one place that says so, for the command and the worker alike, so that both
 * address the same merge queue. A URL is judged by its text alone; a path is looked at where the process runs.
 */
import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GitError, simpleGit } from 'simple-git';
import type { RepositoryRef } from '../shared/contracts/run.ts';
import { FailureType, terminal } from '../shared/base/failures.ts';
import { repositoryKey } from '../shared/base/ids.ts';

/** What git may talk to a remote by. */
export const PROTOCOLS = ['https', 'http', 'ssh', 'file'] as const;

export type RepositoryLocation = {
  repo: RepositoryRef;
  kind: 'url' | 'bare' | 'ordinary';
  /** Branches that are checked out in this local repository or its work trees: a push to one is refused. */
  checkedOut: string[];
};

type Environment = Readonly<Record<string, string | undefined>>;

type Options = {
  /** What a relative path stands on; without it only URLs and absolute paths are taken. */
  cwd?: string;
  /** Of the person whose repository it is: PATH, HOME and where git's configuration is. */
  env?: Environment;
};

const ABSOLUTE = 'Give a URL (https://…, ssh://…, git@host:path) or an absolute path.';
const URL_OR_PATH = 'Give a URL (https://…, ssh://…, git@host:path) or the path of a repository.';

/**
 * @param named a URL, `host:path` as ssh takes it, or a path: of a bare or ordinary repository, of one of its linked
 *   work trees, or of its git folder. All of one repository's paths give the same answer.
 * @returns `repo.location` is what git is given: a URL as it was typed, or the real path of the repository. Asked
 *   again with that, the answer is the same.
 * @throws terminal BadInput for what is not allowed, RepositoryUnusable for a path without a repository.
 */
export async function repositoryOf(named: string, options: Options = {}): Promise<RepositoryLocation> {
  const { cwd, env = process.env } = options;
  const refuse = (why: string, remedy = cwd === undefined ? ABSOLUTE : URL_OR_PATH): never => {
    throw terminal(FailureType.BadInput, `repository "${withoutUserInfo(printable(named))}" ${why}`, remedy);
  };
  if (printable(named) !== named || named.trim() !== named || named === '') {
    refuse('is empty, or has control characters or spaces around it');
  }
  if (named.startsWith('-')) refuse('looks like an option');
  if (/^[A-Za-z0-9+.-]+::/.test(named)) refuse('names a transport helper');
  if (/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(named)) {
    const path = checkedUrl(named, refuse);
    return path === null ? byUrl(named) : await inspectPath(path, env);
  }
  if (named.startsWith('/')) return await inspectPath(named, env);
  if (cwd !== undefined) {
    const path = resolve(cwd, named);
    if (existsSync(path)) return await inspectPath(path, env);
    // A shell leaves it as it is within quotes and after `=`.
    if (/^~(?:\/|$)/.test(named)) return await inspectPath(join(env.HOME ?? homedir(), named.slice(1)), env);
  }
  // As git has it, a slash before the colon makes it a path.
  if (/^(?:[A-Za-z0-9._][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?![-:])[^\s].*$/.test(named)) return byUrl(named);
  if (cwd === undefined) return refuse('is neither a URL nor an absolute path');
  return refuse(`is neither a URL nor a path: ${resolve(cwd, named)} does not exist`);
}

/** @returns the path of a file URL; null for every other that is allowed. */
function checkedUrl(text: string, refuse: (why: string, remedy?: string) => never): string | null {
  const url = URL.parse(text);
  if (url === null) return refuse('is not a URL');
  const protocol = url.protocol.slice(0, -1);
  if (!PROTOCOLS.some((known) => known === protocol)) {
    refuse(`has the protocol ${protocol}`, `Use one of ${PROTOCOLS.join(', ')}.`);
  }
  if (url.password !== '' || (url.username !== '' && protocol !== 'ssh')) {
    [url.username, url.password] = ['', ''];
    refuse(
      'has user-info in it, which would stay in the history of the run',
      `Give ${url.href}: git logs in by your credential helper, ssh agent or AGENTSWARM_GIT_TOKEN.`,
    );
  }
  if (url.search !== '' || url.hash !== '') refuse('has a query or fragment', 'Leave out what follows the path.');
  if (protocol === 'file') {
    if (url.host !== '') refuse('is a file on another host');
    try {
      return fileURLToPath(url);
    } catch {
      return refuse('is not the URL of a path', 'Write a slash of the path as "/", not as "%2F".');
    }
  }
  if (url.hostname === '' || url.hostname.startsWith('-') || url.username.startsWith('-')) refuse('has no proper host');
  if (url.pathname.replace(/\/+/g, '') === '') refuse('has no path');
  return null;
}

function byUrl(location: string): RepositoryLocation {
  return { repo: { location, key: repositoryKey(location) }, kind: 'url', checkedOut: [] };
}

/**
 * A local repository is its common git folder, whichever of its work trees it is named by; as git lists its main work
 * tree, it is called by the folder that the `.git` is in.
 */
async function inspectPath(path: string, env: Environment): Promise<RepositoryLocation> {
  const unusable = (why: string, remedy: string, cause?: unknown): Error =>
    terminal(FailureType.RepositoryUnusable, `${path} ${why}`, remedy, cause);
  let real: string;
  try {
    real = await realpath(path);
  } catch (error) {
    throw unusable(`cannot be opened (${(error as NodeJS.ErrnoException).code})`, 'Check the path.', error);
  }
  try {
    const git = lookAt(real, env);
    const folders = await git.raw('rev-parse', '--path-format=absolute', '--git-dir', '--git-common-dir');
    const [own = '', common = ''] = await Promise.all(
      folders
        .trimEnd()
        .split('\n')
        .map((each) => realpath(each)),
    );
    const location = basename(common) === '.git' ? dirname(common) : common;
    if (real !== own && real !== common && !existsSync(join(real, '.git'))) {
      throw unusable('is a folder inside a repository', `Name the repository: ${location}`);
    }
    const listed = await git.raw('worktree', 'list', '--porcelain', '-z');
    const trees = listed.split('\0\0').map((tree) => tree.split('\0'));
    const checkedOut = trees.flatMap((tree) => {
      const branch = tree.find((line) => line.startsWith('branch refs/heads/'));
      return branch === undefined ? [] : [branch.slice('branch refs/heads/'.length)];
    });
    const bare = trees[0]?.includes('bare') === true;
    return { repo: { location, key: repositoryKey(location) }, kind: bare ? 'bare' : 'ordinary', checkedOut };
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    if (/dubious ownership/.test(error.message)) {
      const remedy = `If you trust it: git config --global --add safe.directory ${real}`;
      throw unusable('belongs to another user, so git does not read it', remedy, error);
    }
    if (!/not a git repository|this operation must be run/i.test(error.message)) throw error;
    throw unusable('is not a git repository', 'Name its top folder, or make one with git init.', error);
  }
}

/**
 * The repository is the person's own, so git may read it in place. Both commands that are asked run no hook and no
 * program of its configuration; of the environment git gets nothing that leads it to another repository.
 */
function lookAt(folder: string, env: Environment): ReturnType<typeof simpleGit> {
  const passed: Record<string, string> = {};
  for (const name of ['PATH', 'HOME', 'TMPDIR', 'XDG_CONFIG_HOME', 'GIT_CONFIG_GLOBAL']) {
    const value = env[name];
    if (value !== undefined) passed[name] = value;
  }
  return simpleGit({
    baseDir: folder,
    // A bare repository that is named is no trap that one fell into.
    config: ['safe.bareRepository=all'],
    timeout: { block: 120_000 },
    // Which repositories a person trusts may be in a configuration file of their own.
    allowEnvironment: ['GIT_CONFIG_GLOBAL'],
    unsafe: { allowUnsafeConfigPaths: true },
    // The messages are told apart by their words.
  }).env({ ...passed, LC_ALL: 'C.UTF-8' });
}

const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');

const withoutUserInfo = (text: string): string => text.replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@'"]+@/gi, '$1***@');
