/**
 * The fast way of a checkpoint, where the sandbox's files are on this host: git stages inside the sandbox, and the host
 * reads the index and takes the new objects itself, without a further process. What it cannot read is left to git, and
 * the objects stay where checkpoint-store.ts keeps them until the mirror needs them. @see plain-checkpoint.ts
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CommitSha } from '../../../../shared/base/ids.ts';
import { commitContent } from '../../../git/commit-object.ts';
import type { TreeContent } from '../../../git/contract.ts';
import { GitError } from '../../../git/errors.ts';
import type { TreeRecord } from '../../state/lease-file.ts';
import { CHECKPOINT_AUTHOR, CheckpointError, checkpointExec } from '../checkpoint-git.ts';
import type { Checkpoint, CheckpointDeps, CheckpointRequest, CheckpointWriter } from '../contract.ts';
import {
  KEYS,
  MAX_PACK_BYTES,
  REPAIR,
  type RunScript,
  STAGE,
  scriptOptions,
  scriptRunner,
  TREE,
  takeLine,
} from '../stage-script.ts';
import { digestOfPaths, isGitlink, readIndex, treesOf } from './git-index.ts';
import { CheckpointLost, TooLarge } from './object-store.ts';

/** What STAGE comes to when git has nothing to say. */
const PLAINLY = 'exec git add -A';

const BY_GIT = `${STAGE}${TREE}${KEYS}`;

/** More than that, unpacked, goes into the mirror: it is one pack in memory then. */
const STORED_OBJECT_BYTES = 64 * 1024 * 1024;

/** @param objects the folder of the objects that git writes in a sandbox, on this host. */
export function createFastCheckpoints(deps: CheckpointDeps, objects: (id: string) => string): CheckpointWriter {
  const { provider, records, store, log } = deps;
  return {
    async write(request) {
      const { id, keyFiles = [], signal } = request;
      const before = await records.tree(id);
      const options = scriptOptions(signal);
      const args = [before.tree, before.packedOn, before.base, ...keyFiles];
      const run = scriptRunner({ provider, log }, { id, base: before.base, args, options });
      // Where it cannot be told each object is looked for.
      const base = await (await request.mirror()).contentOf(before.base).catch(() => undefined);
      const from = { objects: objects(id), before, keyFiles, base, run };
      const plainly = async (): Promise<boolean> => {
        const result = await checkpointExec(provider, id, PLAINLY, [], options);
        return result.reason === 'exit' && result.exitCode === 0 && result.stdout.length === 0 && result.stderr === '';
      };
      const staged = await stage(from, before.turn > 0 ? { plainly } : {});
      try {
        return await storeStaged(deps, request, before, { ...staged, base });
      } catch (error) {
        const lost = error instanceof CheckpointLost || (error instanceof GitError && staged.made !== undefined);
        if (!lost || signal?.aborted === true) throw error;
        // A power cut may take an object that the index names: then what was stored is not whole either.
        log.warn({ sandbox: id, error: String(error) }, 'what was stored of a checkpoint is lost; git makes it anew');
        await store.forget(id);
        await checkpointExec(provider, id, REPAIR, [before.base], options);
        return await storeStaged(deps, request, before, { ...(await stage(from, { byGit: true })), anew: true });
      }
    },
  };
}

/** A work tree as its objects stand on this host. */
type Staged = { objects: string; tree: string; made?: ReadonlyMap<string, Buffer>; keys?: string };

/** An index that is larger takes this process longer to read than it takes git to be started. */
const LIGHT_INDEX_BYTES = 2 * 1024 * 1024;

type StageFrom = {
  objects: string;
  before: TreeRecord;
  keyFiles: readonly string[];
  base: TreeContent | undefined;
  run: RunScript;
};

/**
 * @param how `plainly` stages in the usual case and tells whether that was all; `byGit`: git makes the trees, and looks
 *   for all that they name.
 */
async function stage(
  { objects, before, keyFiles, base, run }: StageFrom,
  how: { plainly?: () => Promise<boolean>; byGit?: boolean },
): Promise<Staged> {
  const file = join(dirname(objects), 'index');
  const isLight = () => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) <= LIGHT_INDEX_BYTES;
  if (isLight() && how.byGit !== true) {
    if ((await how.plainly?.()) !== true) await run(STAGE);
    const sha256 = before.base.length === 64;
    const read = () => (isLight() && existsSync(file) ? readIndex(readFileSync(file), sha256 ? 32 : 20) : null);
    let index = read();
    if (
      index?.entries.some((entry) => isGitlink(entry) && base?.submodules.has(entry.path.toString('latin1')) !== true)
    ) {
      await run(STAGE, 'look');
      index = read();
    }
    const trees = index === null ? null : treesOf(index, sha256 ? 'sha256' : 'sha1');
    if (index !== null && trees !== null) {
      const keys = keyFiles.length === 0 ? {} : { keys: digestOfPaths(index, keyFiles) };
      return { objects, tree: trees.root, made: trees.made, ...keys };
    }
    // From the start: what mends an index forgets what was put into it.
  }
  const [tree, rest] = takeLine((await run(BY_GIT, 'look')).stdout, 'tree');
  const keys = keyFiles.length === 0 || tree === before.tree ? {} : { keys: takeLine(rest, 'keys')[0] };
  return { objects, tree, ...keys };
}

/** Of what there is on this host: a commit, without further processes. */
async function storeStaged(
  { records, store }: CheckpointDeps,
  { id, turn, into, mirror }: CheckpointRequest,
  before: TreeRecord,
  { objects, tree, made, keys, base, anew = false }: Staged & { base?: TreeContent; anew?: boolean },
): Promise<Checkpoint> {
  const changed = tree !== before.tree;
  if (!changed && !anew && (before.inMirror || into === 'kept')) return { commit: before.commit, tree, changed };
  let now = before;
  if (changed || anew) {
    const content = checkpointContent(tree, before.base);
    const known = made && base?.objects;
    const stored = await store
      .keepTree(
        id,
        objects,
        { content, tree, parents: [before.base], before: before.commit, made, known },
        MAX_PACK_BYTES,
      )
      .catch((error: unknown) => {
        if (!(error instanceof TooLarge)) throw error;
        throw new CheckpointError(id, 'checkpoint', { reason: 'exit', exitCode: 1, stderr: error.message });
      });
    const keptBytes = (before.keptBytes ?? 0) + stored.bytes;
    now = { ...before, commit: stored.commit, tree: CommitSha.parse(tree), turn, inMirror: false, keptBytes };
    if (keys !== undefined) now = { ...now, keys };
  }
  const { commit, keptBytes = 0 } = now;
  if (into === 'mirror' || keptBytes > STORED_OBJECT_BYTES) {
    if (!(await store.take(await mirror(), commit, id)))
      throw new CheckpointLost(`checkpoint ${commit} of sandbox ${id} was kept and is not there`);
    now = { ...now, inMirror: true, keptBytes: 0, packedOn: commit };
  }
  await records.writeTree(id, now);
  return { commit, tree, changed };
}

function checkpointContent(tree: string, parent: CommitSha): Buffer {
  const author = CHECKPOINT_AUTHOR;
  const content = commitContent({ tree, parents: [parent], message: 'checkpoint\n', author, at: new Date() });
  if (content === null) throw new Error('the author of checkpoints has a name that git would change');
  return content;
}
