/** One bare mirror, by the plumbing commands of git. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Author } from '../../shared/contracts/merge.ts';
import type { RepositoryRef } from '../../shared/contracts/run.ts';
import { CommitSha } from '../../shared/base/ids.ts';
import { takeBundle } from './bundle.ts';
import { commitContent, type NewCommit, rawDate, writeCommit } from './commit-object.ts';
import type { GitOutput, Mirror } from './contract.ts';
import type { Conversation, Converse } from './conversation.ts';
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

type MirrorOptions = { dir: string; repo: RepositoryRef; git: Git; converse: Converse };

export const createMirror = (options: MirrorOptions): Mirror => new GitMirror(options);

class GitMirror implements Mirror {
  readonly dir: string;
  readonly repo: RepositoryRef;
  readonly contentOf: Mirror['contentOf'];
  private readonly runGit: Git;
  private readonly startConversation: Converse;
  private readonly tips = new Map<string, { tip: CommitSha; at: number }>();
  private readonly trees = new LRUCache<CommitSha, string>({ max: TREES_KNOWN });
  private readonly fetches = new Map<string, (asked: void) => Promise<CommitSha>>();
  private readonly pushTogether: (work: Work) => Promise<void>;

  constructor({ dir, repo, git, converse }: MirrorOptions) {
    this.dir = dir;
    this.repo = repo;
    this.runGit = git;
    this.startConversation = converse;
    this.contentOf = createTreeContents((argv, options) => this.git(argv, options));
    this.pushTogether = gathered((works: readonly Work[]) => this.push(works), {
      alone: (work) => this.push([work]),
      most: REFS_AT_ONCE,
    });
  }

  git(argv: readonly string[], options: GitOptions = {}): Promise<GitOutput> {
    const remote = REMOTE_COMMANDS.has(argv[0] ?? '') ? { remote: this.repo.location } : {};
    return retryOnLock(this.dir, () => this.runGit(argv, { gitDir: this.dir, ...remote, ...options }));
  }

  converse(argv: readonly string[], signal?: AbortSignal): Conversation | undefined {
    return this.startConversation(this.dir, argv, signal);
  }

  async readRemoteRef(ref: string): Promise<CommitSha | null> {
    return (await this.listRemote([ref])).get(ref) ?? null;
  }

  /** Callers that come while a fetch runs share the next one: the fetch that they get must begin after they asked. */
  async fetchBranch(branch: string): Promise<CommitSha> {
    checkRef(branchRef(branch));
    const fetch = this.fetches.get(branch) ?? gathered<void, CommitSha>(() => this.fetchNow(branch));
    this.fetches.set(branch, fetch);
    return await fetch();
  }

  async recentTip(branch: string): Promise<CommitSha> {
    const known = this.tips.get(branch);
    return known !== undefined && Date.now() - known.at < RECENT_MS ? known.tip : await this.fetchBranch(branch);
  }

  async ensureCommit(commit: CommitSha, ref: string): Promise<void> {
    if (await this.has(commit)) return;
    await this.fetchWork([ref]);
    if (await this.has(commit)) return;
    const { location } = this.repo;
    throw new GitError({
      argv: ['fetch', location, ref],
      on: location,
      code: 0,
      output: `the ref is there, but it does not contain commit ${commit}`,
    });
  }

  async fetchWork(refs: readonly string[]): Promise<void> {
    for (const ref of refs) checkRef(ref);
    // They need no refs of their own in the mirror: automatic gc is off, so nothing prunes their objects.
    await this.git([...FETCH, '--', this.repo.location, ...refs]);
  }

  async importBundle(bundle: Buffer, commit: CommitSha, keepRef: string): Promise<void> {
    checkRef(keepRef);
    await takeBundle((argv, options) => this.git(argv, options), this.dir, bundle, sha(commit));
    await this.git(['update-ref', '--', keepRef, sha(commit)]);
  }

  async commitTree(commit: Omit<NewCommit, 'at'> & { at?: Date }): Promise<CommitSha> {
    const { tree, parents, message, author, at = new Date() } = commit;
    const content = commitContent({ tree: sha(tree), parents: parents.map(sha), message, author, at });
    if (content !== null) return writeCommit(this.dir, content, tree.length === 40 ? 'sha1' : 'sha256');
    const argv = ['commit-tree', sha(tree), ...parents.flatMap((parent) => ['-p', sha(parent)])];
    return CommitSha.parse(await this.text(argv, { stdin: message, env: identity(author, at) }));
  }

  async treeOf(commit: CommitSha): Promise<string> {
    const known = this.trees.get(commit);
    if (known !== undefined) return known;
    const tree = await this.text(['rev-parse', '--verify', `${sha(commit)}^{tree}`]);
    this.trees.set(commit, tree);
    return tree;
  }

  async changedFiles(from: CommitSha, to: CommitSha): Promise<string[]> {
    const argv = ['diff-tree', '-r', '-z', '--name-only', '--no-renames', sha(from), sha(to)];
    const { stdout } = await this.git(argv);
    return stdout
      .toString('utf8')
      .split('\0')
      .filter((path) => path !== '');
  }

  async mergeBase(a: CommitSha, b: CommitSha): Promise<CommitSha | null> {
    const { stdout, code } = await this.git(['merge-base', sha(a), sha(b)], { ok: [0, 1] });
    return code === 0 ? CommitSha.parse(stdout.toString('utf8').trim()) : null;
  }

  async pushWork(commit: CommitSha, ref: string): Promise<void> {
    checkRef(ref);
    if (ref.startsWith('refs/heads/')) throw new Error(`a branch is only moved by compare-and-swap, not ${ref}`);
    await this.pushTogether({ commit: sha(commit), ref });
  }

  async deleteRemoteRefs(refs: readonly string[]): Promise<void> {
    for (let i = 0; i < refs.length; i += REFS_AT_ONCE) {
      const batch = refs.slice(i, i + REFS_AT_ONCE);
      for (const ref of batch) checkRef(ref);
      const onRemote = await this.listRemote(batch);
      await this.deletePresent(batch.filter((ref) => onRemote.has(ref)));
    }
  }

  async listRemoteRefs(prefix: string): Promise<Map<string, CommitSha>> {
    const refs = await this.listRemote([`${prefix}*`]);
    return new Map([...refs].filter(([ref]) => ref.startsWith(prefix) && !ref.endsWith('^{}')));
  }

  /** Deletes refs that the remote had a moment ago. */
  private async deletePresent(refs: readonly string[]): Promise<void> {
    if (refs.length === 0) return;
    const deleteAll = async (some: readonly string[]): Promise<void> => {
      await this.git([...PUSH, '--', this.repo.location, ...some.map((ref) => `:${ref}`)]);
    };
    try {
      await deleteAll(refs);
    } catch (error) {
      // Another process may have deleted one of them meanwhile, which fails the whole push.
      const onRemote = await this.listRemote(refs);
      const remaining = refs.filter((ref) => onRemote.has(ref));
      if (remaining.length === 0) return;
      if (remaining.length === refs.length) throw error;
      await deleteAll(remaining);
    }
  }

  private async push(works: readonly Work[]): Promise<void> {
    await this.git([...PUSH, '--', this.repo.location, ...works.map(({ commit, ref }) => `+${commit}:${ref}`)]);
  }

  private async fetchNow(branch: string): Promise<CommitSha> {
    // The copy is not below refs/heads: there a branch `a` that became `a/b` on the remote would be in the way.
    const local = tipRef(branch);
    await this.git([...FETCH, '--', this.repo.location, `+${branchRef(branch)}:${local}`]);
    const tip = await this.readRef(local);
    this.tips.set(branch, { tip, at: Date.now() });
    return tip;
  }

  private async readRef(ref: string): Promise<CommitSha> {
    // A ref is a file unless git has packed it, so most of them are read without a git process.
    const content = await readFile(join(this.dir, ref), 'utf8').catch(() => '');
    const parsed = CommitSha.safeParse(content.trim());
    return parsed.success
      ? parsed.data
      : CommitSha.parse(await this.text(['rev-parse', '--verify', `${ref}^{commit}`]));
  }

  private async listRemote(patterns: readonly string[]): Promise<Map<string, CommitSha>> {
    const { stdout } = await this.git(['ls-remote', '--', this.repo.location, ...patterns]);
    const refs = new Map<string, CommitSha>();
    for (const row of stdout.toString('utf8').split('\n')) {
      const [commit, ref] = row.split('\t');
      if (commit !== undefined && ref !== undefined) refs.set(ref, CommitSha.parse(commit));
    }
    return refs;
  }

  private async has(commit: CommitSha): Promise<boolean> {
    return (await this.git(['cat-file', '-e', `${sha(commit)}^{commit}`], { ok: [0, 1, 128] })).code === 0;
  }

  /** What a git command prints, as UTF-8 without the white space around it. */
  private async text(argv: readonly string[], options?: GitOptions): Promise<string> {
    return (await this.git(argv, options)).stdout.toString('utf8').trim();
  }
}

const FETCH = ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head'];
const PUSH = ['push', '--porcelain', '--no-verify'];

/** Object names come from histories and models, so an argument that is no object name is refused. */
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
