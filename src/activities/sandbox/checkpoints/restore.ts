/** A sandbox that was lost is made again from the checkpoint of the last turn in history. */
import type { Checkpoint } from '../../../shared/contracts/agent.ts';
import { CommitSha } from '../../../shared/base/ids.ts';
import type { Mirror } from '../../git/contract.ts';
import type { Log } from '../../support/log.ts';
import type { SandboxProvider } from '../provider.ts';
import type { Records } from '../state/lease-file.ts';
import { remoteCheckpointRef } from './checkpoint.ts';
import { CheckpointError, checkpointExec } from './checkpoint-git.ts';
import type { CheckpointStore } from './checkpoint-store.ts';
import { codeTransport } from './local-transport.ts';

/** $1 the checkpoint, $2 its base. What is in the tree and not in the checkpoint goes; ignored files stay. */
const RESTORE = `
rm -f "$GIT_DIR/index.lock"
git add -A --ignore-errors >/dev/null 2>&1
git read-tree --reset -u "$1" || { chmod -R u+rwX . && git read-tree --reset -u "$1"; } || exit 1
git rev-parse --verify "$1^{tree}" || exit 1
index=$GIT_DIR/index
unset GIT_DIR GIT_WORK_TREE
[ -d .git ] && cp -- "$index" .git/index && git update-ref HEAD "$2" >/dev/null 2>&1
exit 0
`;

/**
 * Makes the work tree what the checkpoint was, once for each lease of a sandbox; nothing is done where it is that
 * already. The base becomes the checkpoint's parent: on a newer tip, its tree would undo what has landed since.
 * @returns what the agent must be told, when the checkpoint itself could not be had.
 */
export async function restoreTree(
  deps: { provider: SandboxProvider; records: Records; checkpointStore: CheckpointStore; log: Log },
  mirror: Mirror,
  request: { id: string; epoch: number; restore: Checkpoint; ref: string; signal?: AbortSignal },
): Promise<string | undefined> {
  const { provider, records, checkpointStore, log } = deps;
  const { id, epoch, restore, ref, signal } = request;
  const before = await records.tree(id);
  if (before.restoredFor === epoch) return undefined;
  if (before.commit === restore.commit) {
    await records.writeTree(id, { ...before, restoredFor: epoch });
    return undefined;
  }
  const found = await findCheckpoint(mirror, checkpointStore, restore.commit, remoteCheckpointRef(ref, before), log);
  if (found === null) {
    await records.writeTree(id, { ...before, restoredFor: epoch });
    return LOST;
  }
  const { stdout } = await mirror.git(['rev-parse', '--verify', `${found}^1`]);
  const base = CommitSha.parse(stdout.toString('utf8').trim());
  const untilAborted = signal === undefined ? {} : { signal };
  const have = [before.commit, before.base];
  await codeTransport(provider).provide(mirror, id, { commits: [found, base], have, ...untilAborted });
  const result = await checkpointExec(provider, id, RESTORE, [found, base], {
    timeoutMs: 10 * 60_000,
    ...untilAborted,
  });
  if (result.reason !== 'exit' || result.exitCode !== 0) throw new CheckpointError(id, `restore of ${found}`, result);
  const tree = result.stdout.toString('utf8').trim();
  const now = { base, commit: found, tree, turn: restore.turn, inMirror: true, packedOn: found };
  await records.writeTree(id, { ...before, ...now, restoredFor: epoch });
  log.info({ sandbox: id, epoch, checkpoint: found, turn: restore.turn }, 'sandbox restored from a checkpoint');
  return found === restore.commit ? undefined : OLDER;
}

const LOST =
  'The sandbox was lost together with its host, and no checkpoint of it had reached the remote: the work tree is as it was at the start of the task. Look at it before you go on.';
const OLDER =
  'The sandbox was lost together with its host: the work tree is that of an earlier turn. Look at it before you go on.';

/** The checkpoint itself, or the newest that reached the remote (one a minute does), or none. */
async function findCheckpoint(
  mirror: Mirror,
  checkpointStore: CheckpointStore,
  commit: CommitSha,
  ref: string,
  log: Log,
): Promise<CommitSha | null> {
  try {
    if (await checkpointStore.take(mirror, commit)) return commit;
    await mirror.ensureCommit(commit, ref);
    return commit;
  } catch (error) {
    log.warn({ commit, ref, error: String(error) }, 'a checkpoint is neither here nor on the remote');
  }
  const pushed = await mirror.readRemoteRef(ref);
  if (pushed === null) return null;
  await mirror.ensureCommit(pushed, ref);
  return pushed;
}
