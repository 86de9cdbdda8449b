/** What an agent leaves becomes one commit of the host's, on the remote. */
import { Context } from '@temporalio/activity';
import type { CollectRequest, CollectResult } from '../../shared/contracts/sandbox.ts';
import { landingMessage } from '../../shared/base/commit-message.ts';
import { boundedPaths } from '../../shared/task/handoff-size.ts';
import { CHANGE_TRAILER, CommitSha } from '../../shared/base/ids.ts';
import { findTampering } from '../git/tamper-diff.ts';
import type { Mirror } from '../git/contract.ts';
import { heartbeating, throwIfCancelled } from '../support/heartbeats.ts';
import type { ActDeps } from './act.ts';
import { restoreTree } from './checkpoints/restore.ts';

/** How many paths go on one command line. */
const PATHS_AT_ONCE = 500;
/** Of each list of paths in the result, which goes into history. */
const MAX_PATHS_CHARS = 60_000;

/**
 * The work as one commit on the base of the sandbox's tree, pushed to `request.ref`; trying again gives the same one.
 * @throws SandboxGone when the sandbox is not here under this epoch; GitError when the remote does not take it.
 */
export function collectWork(deps: ActDeps, request: CollectRequest): Promise<CollectResult> {
  const { id } = request.sandbox;
  return heartbeating(({ signal }) => deps.exclusive(id, () => collect(deps, request, signal)), {
    details: { collecting: id },
  });
}

async function collect(deps: ActDeps, request: CollectRequest, signal: AbortSignal): Promise<CollectResult> {
  const { records, mirrors } = deps;
  const { id, epoch } = request.sandbox;
  await records.expectEpoch(id, epoch);
  const mirror = await mirrors.open(request.run.repo);
  const { base, commit } =
    (await collectedBefore(mirror, request)) ?? (await commitWork(deps, mirror, request, signal));
  if (commit === undefined) return { base, filesChanged: [], unresolved: [] };
  const { merging } = await records.tree(id);
  const filesChanged = await mirror.changedFiles(base, commit);
  const rules = { strict: request.fix === true };
  const tamper = await findTampering(mirror, { base, commit, files: filesChanged, rules });
  return {
    base,
    commit,
    ...(tamper.length === 0 ? {} : { tamper }),
    filesChanged: boundedPaths(filesChanged, MAX_PATHS_CHARS),
    unresolved:
      merging === undefined ? [] : boundedPaths(await unresolved(mirror, base, commit, filesChanged), MAX_PATHS_CHARS),
  };
}

/** What the work is measured against, and its commit on the remote where anything was changed. */
type Collected = { base: CommitSha; commit?: CommitSha };

async function commitWork(
  deps: ActDeps,
  mirror: Mirror,
  request: CollectRequest,
  signal: AbortSignal,
): Promise<Collected> {
  const { records, pushes } = deps;
  const { run, sandbox, restore, ref, subject, body, change, at } = request;
  const { id, epoch } = sandbox;
  const { tree } = await deps.turnstile(async () => {
    if (restore !== undefined) await restoreTree(deps, mirror, { id, epoch, restore, ref, signal });
    const { turn } = await records.tree(id);
    return deps.checkpoints.write({ id, turn, into: 'mirror', mirror: async () => mirror, signal });
  });
  const { base } = await records.tree(id);
  if (tree === (await mirror.treeOf(base))) return { base };
  const message = landingMessage({ subject, body, task: change.workflowId, change: change.firstRunId });
  const commit = await mirror.commitTree({
    tree,
    parents: [base],
    message,
    author: run.settings.author,
    ...(at === undefined ? {} : { at: new Date(at) }),
  });
  await pushes.settled(id);
  await throwIfCancelled(signal);
  // Outside of the turnstile: those that wait for the remote at the same time go there together.
  await mirror.pushWork(commit, ref);
  return { base, commit };
}

/**
 * What an earlier try has pushed, of which nothing was heard: its commit may be queued, and a sandbox that was made
 * again since need not have all of the work. The ref is the task's own, and only the host writes there.
 */
async function collectedBefore(mirror: Mirror, { ref, change, again }: CollectRequest): Promise<Collected | undefined> {
  if (again !== true && Context.current().info.attempt === 1) return undefined;
  const commit = await mirror.readRemoteRef(ref);
  if (commit === null) return undefined;
  await mirror.ensureCommit(commit, ref);
  const format = `%P%x1f%(trailers:key=${CHANGE_TRAILER},valueonly,unfold,separator=%x1e)`;
  const { stdout } = await mirror.git(['log', '-1', `--format=${format}`, commit, '--']);
  const [base, made] = stdout.toString('utf8').trim().split('\x1f');
  return made === change.firstRunId ? { base: CommitSha.parse(base), commit } : undefined;
}

/** Changed text files with both ends of a conflict marker, which the base has not. */
async function unresolved(
  mirror: Mirror,
  base: CommitSha,
  commit: CommitSha,
  files: readonly string[],
): Promise<string[]> {
  const marked = await filesWithMarkers(mirror, commit, files);
  if (marked.length === 0) return [];
  const before = new Set(await filesWithMarkers(mirror, base, marked));
  return marked.filter((file) => !before.has(file));
}

async function filesWithMarkers(mirror: Mirror, commit: CommitSha, files: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (let from = 0; from < files.length; from += PATHS_AT_ONCE) {
    const paths = files.slice(from, from + PATHS_AT_ONCE);
    const argv = [
      '--literal-pathspecs',
      'grep',
      '-z',
      '-l',
      '-I',
      '--all-match',
      '-e',
      '^<<<<<<< ',
      '-e',
      '^>>>>>>> ',
      commit,
      '--',
      ...paths,
    ];
    const { stdout } = await mirror.git(argv, { ok: [0, 1] });
    found.push(
      ...stdout
        .toString('utf8')
        .split('\0')
        .filter((name) => name !== '')
        .map((name) => name.slice(commit.length + 1)),
    );
  }
  return found;
}
