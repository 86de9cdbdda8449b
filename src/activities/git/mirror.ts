/** One bare mirror: what Mirror promises, by git's plumbing. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Author } from '../../shared/contracts/merge.ts';
import type { RepositoryRef } from '../../shared/contracts/run.ts';
import { CommitSha } from '../../shared/base/ids.ts';
import { takeBundle } from './bundle.ts';
import { commitContent, rawDate, writeCommit } from './commit-object.ts';
import type { GitOutput, Mirror } from './contract.ts';
import type { Converse } from './conversation.ts';
import { GitError } from './errors.ts';
import { gathered } from './gathered.ts';
import { branchRef, checkRef, tipRef } from './names.ts';
import type { Git, GitOptions } from './run-git.ts';
import { retryOnLock } from './stale-locks.ts';
import { createTreeContents } from './tree-content.ts';

type Work = { commit: CommitSha; ref: string };

const RECENT_MS = 60_000;
const TREES_KNOWN = 1_000;
/** How many refs go on one command line. */
const REFS_AT_ONCE = 200;
const REMOTE_COMMANDS = new Set(['fetch', 'push', 'ls-remote']);

export function createMirror(options: { dir: string; repo: RepositoryRef; git: Git; converse: Converse }): Mirror {
  const { dir, repo, git, converse } = options;
  const { location } = repo;
  const tips = new Map<string, { tip: CommitSha; at: number }>();
  const trees = new LRUCache<CommitSha, string>({ max: TREES_KNOWN });
  const fetches = new Map<string, (asked: void) => Promise<CommitSha>>();

  function run(argv: readonly string[], options: GitOptions = {}): Promise<GitOutput> {
    const remote = REMOTE_COMMANDS.has(argv[0] ?? '') ? { remote: location } : {};
    return retryOnLock(dir, () => git(argv, { gitDir: dir, ...remote, ...options }));
  }

  async function line(argv: readonly string[], options?: GitOptions): Promise<string> {
    return (await run(argv, options)).stdout.toString('utf8').trim();
  }

  async function has(commit: CommitSha): Promise<boolean> {
    return (await run(['cat-file', '-e', `${sha(commit)}^{commit}`], { ok: [0, 1, 128] })).code === 0;
  }

  async function listRemote(patterns: readonly string[]): Promise<Map<string, CommitSha>> {
    const { stdout } = await run(['ls-remote', '--', location, ...patterns]);
    const refs = new Map<string, CommitSha>();
    for (const row of stdout.toString('utf8').split('\n')) {
      const [commit, ref] = row.split('\t');
      if (commit !== undefined && ref !== undefined) refs.set(ref, CommitSha.parse(commit));
    }
    return refs;
  }

  async function fetchNow(branch: string): Promise<CommitSha> {
    // Not below refs/heads: a branch `a` that became `a/b` on the remote must not be in the way.
    const local = tipRef(branch);
    await run([...FETCH, '--', location, `+${branchRef(branch)}:${local}`]);
    const tip = await readRef(local);
    tips.set(branch, { tip, at: Date.now() });
    return tip;
  }

  async function readRef(ref: string): Promise<CommitSha> {
    // A ref is a file unless it was packed: no process for most of them.
    const text = await readFile(join(dir, ref), 'utf8').catch(() => '');
    const found = CommitSha.safeParse(text.trim());
    return found.success ? found.data : CommitSha.parse(await line(['rev-parse', '--verify', `${ref}^{commit}`]));
  }

  const push = async (works: readonly Work[]): Promise<void> => {
    await run([...PUSH, '--', location, ...works.map(({ commit, ref }) => `+${commit}:${ref}`)]);
  };
  const pushTogether = gathered(push, { alone: (work: Work) => push([work]), most: REFS_AT_ONCE });

  const mirror: Mirror = {
    dir,
    repo,
    git: run,
    converse: (argv, signal) => converse(dir, argv, signal),

    async readRemoteRef(ref) {
      return (await listRemote([ref])).get(ref) ?? null;
    },

    /** Callers that come while a fetch runs share the next one: theirs must begin after they asked. */
    async fetchBranch(branch) {
      checkRef(branchRef(branch));
      const fetch = fetches.get(branch) ?? gathered<void, CommitSha>(() => fetchNow(branch));
      fetches.set(branch, fetch);
      return await fetch();
    },

    async recentTip(branch) {
      const known = tips.get(branch);
      return known !== undefined && Date.now() - known.at < RECENT_MS ? known.tip : await mirror.fetchBranch(branch);
    },

    async ensureCommit(commit, ref) {
      if (await has(commit)) return;
      await mirror.fetchWork([ref]);
      if (await has(commit)) return;
      throw new GitError({
        argv: ['fetch', location, ref],
        on: location,
        code: 0,
        output: `the ref is there, but it does not contain commit ${commit}`,
      });
    },

    async fetchWork(refs) {
      for (const ref of refs) checkRef(ref);
      // Without refs of their own in the mirror: gc is off, so nothing prunes them.
      await run([...FETCH, '--', location, ...refs]);
    },

    async importBundle(bundle, commit, keepRef) {
      checkRef(keepRef);
      await takeBundle(run, dir, bundle, sha(commit));
      await run(['update-ref', '--', keepRef, sha(commit)]);
    },

    async commitTree({ tree, parents, message, author, at = new Date() }) {
      const content = commitContent({ tree: sha(tree), parents: parents.map(sha), message, author, at });
      if (content !== null) return writeCommit(dir, content, tree.length === 40 ? 'sha1' : 'sha256');
      const argv = ['commit-tree', sha(tree), ...parents.flatMap((parent) => ['-p', sha(parent)])];
      return CommitSha.parse(await line(argv, { stdin: message, env: identity(author, at) }));
    },

    async treeOf(commit) {
      const known = trees.get(commit);
      if (known !== undefined) return known;
      const tree = await line(['rev-parse', '--verify', `${sha(commit)}^{tree}`]);
      trees.set(commit, tree);
      return tree;
    },

    contentOf: createTreeContents(run),

    async changedFiles(from, to) {
      const argv = ['diff-tree', '-r', '-z', '--name-only', '--no-renames', sha(from), sha(to)];
      const { stdout } = await run(argv);
      return stdout
        .toString('utf8')
        .split('\0')
        .filter((path) => path !== '');
    },

    async mergeBase(a, b) {
      const { stdout, code } = await run(['merge-base', sha(a), sha(b)], { ok: [0, 1] });
      return code === 0 ? CommitSha.parse(stdout.toString('utf8').trim()) : null;
    },

    async pushWork(commit, ref) {
      checkRef(ref);
      if (ref.startsWith('refs/heads/')) throw new Error(`a branch is only moved by compare-and-swap, not ${ref}`);
      await pushTogether({ commit: sha(commit), ref });
    },

    async deleteRemoteRefs(refs) {
      for (let i = 0; i < refs.length; i += REFS_AT_ONCE) {
        const wanted = refs.slice(i, i + REFS_AT_ONCE);
        for (const ref of wanted) checkRef(ref);
        const there = await listRemote(wanted);
        const doomed = wanted.filter((ref) => there.has(ref));
        if (doomed.length === 0) continue;
        try {
          await run([...PUSH, '--', location, ...doomed.map((ref) => `:${ref}`)]);
        } catch (error) {
          // Somebody else may have deleted one of them meanwhile, which fails the whole push.
          const left = await listRemote(doomed);
          const still = doomed.filter((ref) => left.has(ref));
          if (still.length === 0) continue;
          if (still.length === doomed.length) throw error;
          await run([...PUSH, '--', location, ...still.map((ref) => `:${ref}`)]);
        }
      }
    },

    async listRemoteRefs(prefix) {
      const refs = await listRemote([`${prefix}*`]);
      return new Map([...refs].filter(([ref]) => ref.startsWith(prefix) && !ref.endsWith('^{}')));
    },
  };
  return mirror;
}

const FETCH = ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head'];
const PUSH = ['push', '--porcelain', '--no-verify'];

/** Object names come from histories and models: nothing else may get into an argument. */
const sha = (name: string): CommitSha => CommitSha.parse(name);

function identity({ name, email }: Author, at: Date): Record<string, string> {
  const date = `@${rawDate(at)}`;
  return {
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_DATE: date,
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: email,
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: email,
  };
}
