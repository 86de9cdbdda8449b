/**
 * What a person's own repository is like, looked at where it lies. git is asked through simple-git, with its guards on,
 * and only of a path that a person named: never where an agent can write.
 */
import { existsSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GitError, GitPluginError, type SimpleGit, simpleGit } from 'simple-git';

/** Numbers of files; one that is changed in part after it was staged is in both `staged` and `modified`. */
export type UncommittedChanges = { files: number; staged: number; modified: number; untracked: number };

export type WorkTree = {
  path: string;
  /** The main work tree is not; the others are, also when the repository is bare. */
  linked: boolean;
  /** Where in it the path is that was named; empty at its top. */
  folder: string;
  /** Null where the HEAD is detached. */
  branch: string | null;
  /**
   * Null where a filter of the repository's own configuration would have to run for it. Such filters never run: files
   * that have one are not counted. Changes within submodules are their own.
   */
  changes: UncommittedChanges | null;
  /** As of the last fetch; null where the branch is level with its upstream, or has none. */
  drift: { upstream: string; ahead: number; behind: number } | null;
};

export type LocalRepository = {
  kind: 'repository';
  /** The folder that the `.git` is in, or the bare repository itself; the same for all of its work trees. */
  root: string;
  /** Of the work tree that was named. */
  gitDir: string;
  bare: boolean;
  shallow: boolean;
  /** What a run starts from unless told otherwise: the HEAD of the repository, not that of a linked work tree. */
  head: { branch: string | null; commit: string | null };
  /** The one that the path is in; null for a bare repository, or a path within the git folder. */
  workTree: WorkTree | null;
  checkedOut: { branch: string; path: string }[];
  /** URLs without user info, query and fragment. */
  remotes: { name: string; url: string }[];
};

/** `none`: there is no repository. `unreadable`: there may be one, but git does not read it. */
export type NotLookedAt = { kind: 'none' | 'unreadable'; why: string; remedy: string };

type Environment = Readonly<Record<string, string | undefined>>;

/** Without a word of git for this long, it is ended. */
const SILENT_MS = 30_000;

/** The absolute path that a person means, be there something or not; null for what is on another host. */
export function localPath(named: string, { cwd, env }: { cwd: string; env: Environment }): string | null {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(named)) {
    const url = URL.parse(named);
    // An encoded slash is in no path.
    return url?.protocol === 'file:' && url.host === '' && !/%2f/i.test(url.pathname) ? fileURLToPath(url) : null;
  }
  const path = resolve(cwd, named);
  // As git has it, `host:path` is a path where there is one, or where a slash comes first.
  if (existsSync(path)) return path;
  // A shell leaves it as it is within quotes.
  if (/^~(?:\/|$)/.test(named)) return join(env.HOME ?? homedir(), named.slice(1));
  return /^[^/]+:/.test(named) ? null : path;
}

/**
 * @param path absolute; of a repository, one of its work trees, or a folder in one.
 * @param options.env of the person: PATH, HOME and where git's configuration is.
 * @returns facts, or in plain words why there are none; does not throw for what it finds.
 */
export async function lookAtRepository(
  path: string,
  { env = process.env }: { env?: Environment } = {},
): Promise<LocalRepository | NotLookedAt> {
  try {
    const real = await realpath(path);
    if (!(await stat(real)).isDirectory()) {
      return { kind: 'none', why: `${path} is a file`, remedy: 'Name the folder of a repository.' };
    }
    return await facts(real, (folder) => personalGit(folder, env));
  } catch (error) {
    return notLookedAt(path, error);
  }
}

async function facts(real: string, gitIn: (folder: string) => SimpleGit): Promise<LocalRepository> {
  const git = gitIn(real);
  const ask = async (...argv: string[]) => (await git.raw(...argv)).replace(/\n$/, '');
  const folder = async (option: string) => realpath(await ask('rev-parse', '--path-format=absolute', option));
  const [gitDir, common, inWorkTree, shallow, ref, listed, remotes] = await Promise.all([
    folder('--git-dir'),
    folder('--git-common-dir'),
    ask('rev-parse', '--is-inside-work-tree'),
    ask('rev-parse', '--is-shallow-repository'),
    // Not HEAD, which is that of a linked work tree.
    ask('symbolic-ref', '--quiet', 'main-worktree/HEAD'),
    ask('worktree', 'list', '--porcelain', '-z'),
    // getRemotes cuts a URL at its first space.
    ask('remote', '--verbose'),
  ]);
  // By its branch: git warns of a HEAD without a commit.
  const tip = ref === '' ? 'main-worktree/HEAD' : ref;
  const commit = await ask('rev-parse', '--verify', '--quiet', `${tip}^{commit}`);
  const trees = listed.split('\0\0').map((tree) => tree.split('\0'));
  const checkedOut = trees.flatMap((outputLines) => {
    const branch = valueOf(outputLines, 'branch refs/heads/');
    return branch === undefined ? [] : [{ branch, path: valueOf(outputLines, 'worktree ') ?? '' }];
  });
  const top = inWorkTree === 'true' ? await folder('--show-toplevel') : null;
  return {
    kind: 'repository',
    root: basename(common) === '.git' ? dirname(common) : common,
    gitDir,
    bare: trees[0]?.includes('bare') === true,
    shallow: shallow === 'true',
    head: { branch: ref === '' ? null : ref.replace(/^refs\/heads\//, ''), commit: commit === '' ? null : commit },
    workTree:
      top === null
        ? null
        : {
            path: top,
            linked: gitDir !== common,
            folder: relative(top, real),
            branch: checkedOut.find((tree) => tree.path === top)?.branch ?? null,
            ...(await uncommitted(gitIn(top))),
          },
    checkedOut,
    remotes: [...remotes.matchAll(/^(\S+)\t(.*) \(fetch\)/gm)].map(([, name = '', url = '']) => ({
      name,
      url: withoutUserInfo(url),
    })),
  };
}

const valueOf = (outputLines: readonly string[], key: string): string | undefined =>
  outputLines.find((line) => line.startsWith(key))?.slice(key.length);

async function uncommitted(git: SimpleGit): Promise<Pick<WorkTree, 'changes' | 'drift'>> {
  const filters = await ownFilters(git);
  const judged = filters.every((name) => /^[A-Za-z0-9_-]+$/.test(name));
  const { files, tracking, ahead, behind } = await git.status([
    // Neither goes into submodules, whose configuration is another, nor asks a promisor for contents to compare.
    '--ignore-submodules=dirty',
    '--no-renames',
    '--',
    ...(judged ? [':(top)', ...filters.map((name) => `:(top,exclude,attr:filter=${name})`)] : [':(top,exclude)*']),
  ]);
  const count = (of: (file: (typeof files)[number]) => boolean): number => files.filter(of).length;
  return {
    changes: judged
      ? {
          files: files.length,
          staged: count(({ index }) => !' ?'.includes(index)),
          modified: count(({ working_dir: inTree }) => !' ?'.includes(inTree)),
          untracked: count(({ index }) => index === '?'),
        }
      : null,
    drift: tracking === null || ahead + behind === 0 ? null : { upstream: tracking, ahead, behind },
  };
}

/** Filters that the repository itself configures: whoever made it chose these programs, not the person. */
async function ownFilters(git: SimpleGit): Promise<string[]> {
  const keys = '^filter\\..*\\.(clean|process)$';
  const listed = await git.raw('config', '--null', '--show-scope', '--name-only', '--get-regexp', keys);
  const words = listed.split('\0');
  const names = words.flatMap((key, i) =>
    i % 2 === 1 && /^(?:local|worktree)$/.test(words[i - 1] ?? '')
      ? [key.replace(/^filter\./, '').replace(/\.[^.]*$/, '')]
      : [],
  );
  return [...new Set(names)];
}

/**
 * git with the person's settings, but without a program that the repository's configuration names, a prompt, a lock, or
 * a remote. The guards that are opened are those for the settings here, which are constants.
 */
function personalGit(folder: string, env: Environment): SimpleGit {
  const guarded = {
    GIT_TERMINAL_PROMPT: '0',
    // Looking at it does not write its index, and so does not get in the way of what the person does.
    GIT_OPTIONAL_LOCKS: '0',
    GIT_NO_LAZY_FETCH: '1',
  };
  const passed: Record<string, string> = {};
  for (const name of ['PATH', 'HOME', 'TMPDIR', 'XDG_CONFIG_HOME', 'GIT_CONFIG_GLOBAL']) {
    const value = env[name];
    if (value !== undefined) passed[name] = value;
  }
  return simpleGit({
    baseDir: folder,
    config: [
      'core.hooksPath=/dev/null',
      'core.fsmonitor=false',
      'protocol.allow=never',
      // One that is named is no trap that one fell into.
      'safe.bareRepository=all',
    ],
    timeout: { block: SILENT_MS },
    allowEnvironment: [...Object.keys(guarded), 'GIT_CONFIG_GLOBAL'],
    unsafe: {
      allowUnsafeHooksPath: true,
      allowUnsafeFsMonitor: true,
      allowUnsafeProtocolOverride: true,
      // Which repositories a person trusts may be in a configuration file of their own.
      allowUnsafeConfigPaths: true,
    },
    // Messages are told apart by their words.
  }).env({ ...passed, ...guarded, LC_ALL: 'C.UTF-8' });
}

function notLookedAt(path: string, error: unknown): NotLookedAt {
  if (!(error instanceof GitError)) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { kind: 'none', why: `${path} does not exist`, remedy: 'Check the path.' };
    return {
      kind: 'unreadable',
      why: `${path} cannot be opened (${code ?? message})`,
      remedy: 'Check your rights there.',
    };
  }
  if (error instanceof GitPluginError && error.plugin === 'timeout') {
    const why = `git said nothing about ${path} for ${SILENT_MS / 1_000} s`;
    return { kind: 'unreadable', why, remedy: 'Check that its disk answers, and see how long git status takes there.' };
  }
  const [answer = ''] = error.message.split('\n');
  if (/spawn git ENOENT/.test(answer)) {
    return { kind: 'unreadable', why: 'There is no git on the PATH', remedy: 'Install it: apt-get install -y git' };
  }
  if (/dubious ownership/.test(answer)) {
    const trust = /git config --global --add safe\.directory .+/.exec(error.message)?.[0];
    const why = `${path} belongs to another user, so git does not read it`;
    return { kind: 'unreadable', why, remedy: `If you trust it: ${trust ?? 'add it to safe.directory'}` };
  }
  const gone = /not a git repository: (.+)/.exec(answer)?.[1];
  if (gone !== undefined) {
    const why = `${path} is a work tree of a repository that is not there any more (${gone})`;
    return { kind: 'unreadable', why, remedy: 'If that was moved, run `git worktree repair` where it is now.' };
  }
  if (/not a git repository/.test(answer)) {
    const remedy = 'Name the folder of one, or make one with git init.';
    return { kind: 'none', why: `${path} is not a git repository`, remedy };
  }
  return { kind: 'unreadable', why: `git cannot read ${path}: ${answer}`, remedy: 'See what git status says there.' };
}

/** `git@host:path` stays: the user there is no secret, and git would take it for a path without. */
function withoutUserInfo(text: string): string {
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? URL.parse(text) : null;
  if (url === null) return text.replace(/^([a-z][a-z0-9+.:-]*\/\/)[^/]*@/i, '$1');
  [url.username, url.password, url.search, url.hash] = ['', '', '', ''];
  return url.href;
}
