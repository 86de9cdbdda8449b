/**
 * Code out: the work tree as a commit in the host's mirror. The tree is written by git inside the sandbox, over
 * the host's own git folder, so a damaged or hostile `.git` of the agent's changes nothing; what comes out is a
 * pack, which the mirror takes only through fsck.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CommitSha } from '../../../shared/base/ids.ts';
import type { Mirror, TreeContent } from '../../git/contract.ts';
import type { Log } from '../../support/log.ts';
import { commitContent } from '../../git/commit-object.ts';
import { GitError } from '../../git/errors.ts';
import type { SandboxProvider, SandboxResult } from '../provider.ts';
import type { Records, TreeRecord } from '../state/lease-file.ts';
import { CHECKPOINT_AUTHOR, CheckpointError, checkpointExec } from './checkpoint-git.ts';
import { digestOf, isLink, readIndex, treesOf } from './git-index.ts';
import type { KeptPacks } from './checkpoint-store.ts';
import { KeptIsLost, TooLarge } from './object-store.ts';
import { codeTransport } from './transport.ts';
import { takePack } from './take-pack.ts';

/**
 * $1 tree and $2 commit that the mirror has, $3 parent, then the key files of setup. STAGE looks at all files;
 * where the host cannot read the index itself, TREE says "tree T", and if T is new, where its objects are out of the
 * host's reach "commit C", of key files "keys K", and there a pack.
 * A folder that is a repository of its own would become a link to commits that nobody has: its files are taken
 * instead, unless the base has a submodule there. Git tells of one only when it is new to the index: $LINKS is "look"
 * where the index may have one of which it was told before. Files that cannot be read are left out, and named.
 * Git takes a file that is as young as its index for changed: after a check-out that is all of them, and each would be
 * written as an object anew, as the mirror's cannot be marked as used. An index that is written again is younger.
 */
const STAGE = `
[ ! -e "$GIT_DIR/index.lock" ] || rm -f "$GIT_DIR/index.lock"
[ -e "$GIT_DIR/settled" ] || { git update-index -q --refresh --force-write-index >/dev/null 2>&1; : > "$GIT_DIR/settled"; }
said=$(git add -A 2>&1) || {
  code=$?
  rm -f "$GIT_DIR/index.lock"
  # Killed: by the limit of file sizes, or of memory.
  [ $code -le 128 ] || exit $code
  case $said in *'No space left'*|*'File too large'*) printf '%s\\n' "$said" >&2; exit 1;; esac
  said=$said$(git add -A --ignore-errors 2>&1)
}
case "$LINKS $said" in 'look '*|*'embedded git repository: '*|*'does not have a commit checked out'*)
  [ -e "$GIT_DIR/base-links" ] || git -c core.quotePath=false ls-tree -r "$3" | sed -n 's/^160000 [^\t]*\t//p' > "$GIT_DIR/base-links"
  git -c core.quotePath=false ls-files -s | sed -n 's/^160000 [^\t]*\t//p' > "$GIT_DIR/links"
  { cat "$GIT_DIR/links"; printf '%s\\n' "$said" | sed -n "s/.*'\\(.*\\)\\/' does not have a commit checked out.*/\\1/p"; } |
  grep -vxFf "$GIT_DIR/base-links" | sort -u |
  while IFS= read -r path; do
    # Without one it was moved before a kill.
    [ ! -e "$path/.git" ] || { away=$(mktemp -d "$TMPDIR/nested-git-XXXXXX") && mv "$path/.git" "$away/"; } || continue
    git rm -q --cached -f -- "$path" 2>/dev/null
    : > "$GIT_DIR/unlinked"
    printf 'taken as files: %s\\n' "$path" >&2
  done
  [ ! -e "$GIT_DIR/unlinked" ] || { rm -f "$GIT_DIR/unlinked"; said=$said$(git add -A --ignore-errors 2>&1); };;
esac
case $said in *'unable to index'*|*'Permission denied'*) printf '%s\\n' "$said" >&2;; esac
case $said in *'No space left'*|*'File too large'*|*'unable to write'*|*'unable to create temporary'*) printf '%s\\n' "$said" >&2; exit 1;; esac
`;
/** What STAGE comes to when git has nothing to say. */
const PLAINLY = 'exec git add -A';
const TREE = `
set -e
tree=$(git write-tree)
echo "tree $tree"
[ "$tree" != "$1" ] || exit 0
`;
const AS_PACK = `
commit=$(git commit-tree "$tree" -p "$3" -m checkpoint)
echo "commit $commit"
known=$2 base=$3
`;
const KEYS = `
[ $# -le 3 ] || { shift 3; echo "keys $(git --literal-pathspecs ls-files -s -- "$@" | git hash-object --stdin)"; }
`;
const PACK = `
printf '%s\\n^%s\\n^%s\\n' "$commit" "$known" "$base" | git pack-objects --revs --thin --stdout -q --delta-base-offset
`;

const BY_GIT = `${STAGE}${TREE}${KEYS}`;

const REPAIR = 'set -e; rm -f "$GIT_DIR/index" "$GIT_DIR/index.lock"; git read-tree "$1"';
const MAX_PACK_BYTES = 512 * 1024 * 1024;

/**
 * Where a sandbox's checkpoints are kept on the remote. Not on the task's own ref while a merge is in progress:
 * that one holds the commit being merged, which another host must be able to fetch.
 */
export const remoteCheckpointRef = (ref: string, tree: Pick<TreeRecord, 'merging'>): string =>
  tree.merging === undefined ? ref : `${ref}.merge`;

export type Stored = { commit: CommitSha; tree: string; changed: boolean };

/** A pack that is larger goes into the mirror, so that the next one need not hold the same again. */
const KEPT_BYTES = 4 * 1024 * 1024;
/** So do objects: they are one pack in memory then. */
const KEPT_OBJECT_BYTES = 64 * 1024 * 1024;

type StoreDeps = { provider: SandboxProvider; records: Records; packs: KeptPacks; log: Log };
type StoreRequest = {
  id: string;
  turn: number;
  into: 'mirror' | 'kept';
  mirror: () => Promise<Mirror>;
  /** Those of `setup`: the record tells when they are others than before. */
  keyFiles?: readonly string[];
  signal?: AbortSignal;
};

/**
 * Stores the work tree as it is now, ignored files and what `setup` made left out, as a commit on the base: in the
 * mirror, or for as long as that will do among the kept checkpoints.
 * @throws CheckpointError when git could not, GitError when the mirror did not take it, SandboxGone.
 */
export async function storeTree(deps: StoreDeps, request: StoreRequest): Promise<Stored> {
  const { provider, records, packs, log } = deps;
  const { id, turn, into, keyFiles = [], signal } = request;
  const before = await records.tree(id);
  const options = {
    timeoutMs: 10 * 60_000,
    headBytes: MAX_PACK_BYTES,
    maxBytes: MAX_PACK_BYTES,
    ...(signal === undefined ? {} : { signal }),
  };
  const objects = codeTransport(provider).objects?.(id);
  const known = into === 'mirror' && !before.inMirror && objects === undefined ? NONE : before.tree;
  const args = [known, before.packedOn, before.base, ...keyFiles];
  const run = async (script: string, links?: 'look'): Promise<SandboxResult> => {
    const once = () =>
      checkpointExec(provider, id, script, args, { ...options, ...(links && { env: { LINKS: links } }) });
    let result = await once();
    if (result.reason === 'exit' && result.exitCode !== 0 && new CheckpointError(id, '', result).kind === 'other') {
      // Its index may be damaged (a full disk, a kill): it is made anew, then everything is looked at again.
      await checkpointExec(provider, id, REPAIR, [before.base], options);
      result = await once();
    }
    if (result.reason !== 'exit' || result.exitCode !== 0) throw new CheckpointError(id, 'checkpoint', result);
    if (result.stderr !== '')
      log.warn({ sandbox: id, said: result.stderr.slice(0, 1_000) }, 'checkpoint left something out');
    return result;
  };
  if (objects !== undefined) {
    // Where it cannot be told each object is looked for.
    const base = await (await request.mirror()).contentOf(before.base).catch(() => undefined);
    const place = { objects, before, keyFiles, base, run };
    const plainly = async (): Promise<boolean> => {
      const result = await checkpointExec(provider, id, PLAINLY, [], options);
      return result.reason === 'exit' && result.exitCode === 0 && result.stdout.length === 0 && result.stderr === '';
    };
    const staged = await stage(place, before.turn > 0 ? { plainly } : {});
    try {
      return await keepObjects(deps, request, before, { ...staged, base });
    } catch (error) {
      const lost = error instanceof KeptIsLost || (error instanceof GitError && staged.made !== undefined);
      if (!lost || signal?.aborted === true) throw error;
      // A power cut may take an object that the index names: then what was kept is not whole either.
      log.warn({ sandbox: id, error: String(error) }, 'what was kept of a checkpoint is lost; it is made anew by git');
      await packs.forget(id);
      await checkpointExec(provider, id, REPAIR, [before.base], options);
      return await keepObjects(deps, request, before, { ...(await stage(place, { byGit: true })), anew: true });
    }
  }

  const result = await run(`${STAGE}${TREE}${AS_PACK}${KEYS}${PACK}`, 'look');
  const [tree, afterTree] = takeLine(result.stdout, 'tree');
  if (tree === known) return { commit: before.commit, tree, changed: false };
  const [commit, afterCommit] = takeLine(afterTree, 'commit');
  const [keys, pack] = keyFiles.length === 0 ? [before.keys, afterCommit] : takeLine(afterCommit, 'keys');
  const packed = { commit, builtOn: [before.packedOn, before.base], pack };
  const inMirror = into === 'mirror' || pack.length > KEPT_BYTES;
  if (inMirror) await takePack(await request.mirror(), id, packed);
  else await packs.keep(id, packed);
  const now = { commit, tree, turn, inMirror, ...(keys === undefined ? {} : { keys }) };
  await records.writeTree(id, { ...before, ...now, ...(inMirror ? { packedOn: commit } : {}) });
  return { commit, tree, changed: tree !== before.tree };
}

/** A work tree as its objects stand on this host. */
type Staged = { objects: string; tree: string; made?: ReadonlyMap<string, Buffer>; keys?: string };

/** An index that is larger takes this process longer to read than it takes git to be started. */
const LIGHT_INDEX_BYTES = 2 * 1024 * 1024;

type StagePlace = {
  objects: string;
  before: TreeRecord;
  keyFiles: readonly string[];
  base: TreeContent | undefined;
  /** As storeTree does. */
  run: (script: string, links?: 'look') => Promise<SandboxResult>;
};

/**
 * @param how `plainly` stages in the usual case and tells whether that was all; `byGit`: git makes the trees, and looks
 *   for all that they name.
 */
async function stage(
  { objects, before, keyFiles, base, run }: StagePlace,
  how: { plainly?: () => Promise<boolean>; byGit?: boolean },
): Promise<Staged> {
  const file = join(dirname(objects), 'index');
  const isLight = () => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) <= LIGHT_INDEX_BYTES;
  if (isLight() && how.byGit !== true) {
    if ((await how.plainly?.()) !== true) await run(STAGE);
    const sha256 = before.base.length === 64;
    const read = () => (isLight() && existsSync(file) ? readIndex(readFileSync(file), sha256 ? 32 : 20) : null);
    let index = read();
    if (index?.entries.some((entry) => isLink(entry) && base?.submodules.has(entry.path.toString('latin1')) !== true)) {
      await run(STAGE, 'look');
      index = read();
    }
    const trees = index === null ? null : treesOf(index, sha256 ? 'sha256' : 'sha1');
    if (index !== null && trees !== null) {
      const keys = keyFiles.length === 0 ? {} : { keys: digestOf(index, keyFiles) };
      return { objects, tree: trees.root, made: trees.made, ...keys };
    }
    // From the start: what mends an index forgets what was put into it.
  }
  const [tree, said] = takeLine((await run(BY_GIT, 'look')).stdout, 'tree');
  const keys = keyFiles.length === 0 || tree === before.tree ? {} : { keys: takeLine(said, 'keys')[0] };
  return { objects, tree, ...keys };
}

/** Of what there is on this host: a commit, without further processes. */
async function keepObjects(
  { records, packs }: StoreDeps,
  { id, turn, into, mirror }: StoreRequest,
  before: TreeRecord,
  { objects, tree, made, keys, base, anew = false }: Staged & { base?: TreeContent; anew?: boolean },
): Promise<Stored> {
  const changed = tree !== before.tree;
  if (!changed && !anew && (before.inMirror || into === 'kept')) return { commit: before.commit, tree, changed };
  let now = before;
  if (changed || anew) {
    const content = checkpointContent(tree, before.base);
    const known = made && base?.objects;
    const kept = await packs
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
    const keptBytes = (before.keptBytes ?? 0) + kept.bytes;
    now = { ...before, commit: kept.commit, tree: CommitSha.parse(tree), turn, inMirror: false, keptBytes };
    if (keys !== undefined) now = { ...now, keys };
  }
  const { commit, keptBytes = 0 } = now;
  if (into === 'mirror' || keptBytes > KEPT_OBJECT_BYTES) {
    if (!(await packs.take(await mirror(), commit, id)))
      throw new KeptIsLost(`checkpoint ${commit} of sandbox ${id} was kept and is not there`);
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

/** No tree has this name: what is there is told in any case. */
const NONE = '-';

function takeLine(output: Buffer, word: string): [CommitSha, Buffer] {
  const end = output.indexOf('\n');
  const line = output.toString('latin1', 0, Math.max(0, Math.min(end, 200)));
  const parsed = CommitSha.safeParse(line.startsWith(`${word} `) ? line.slice(word.length + 1) : '');
  if (!parsed.success) throw new Error(`a checkpoint answered "${line}" where its ${word} was expected`);
  return [parsed.data, output.subarray(end + 1)];
}
