/** How git stages a work tree inside its sandbox, and how what it prints is read: for both ways of a checkpoint. */
import { CommitSha } from '../../../shared/base/ids.ts';
import type { ExecResult, SandboxProvider } from '../provider.ts';
import type { Log } from '../../support/log.ts';
import { CheckpointError, checkpointExec } from './checkpoint-git.ts';

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
export const STAGE = `
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
/** Prints `tree <name>`, and ends there when it is $1. */
export const TREE = `
set -e
tree=$(git write-tree)
echo "tree $tree"
[ "$tree" != "$1" ] || exit 0
`;

/** With key files as $4 and further: prints `keys <name>`, which changes when one of them does. */
export const KEYS = `
[ $# -le 3 ] || { shift 3; echo "keys $(git --literal-pathspecs ls-files -s -- "$@" | git hash-object --stdin)"; }
`;
/** Makes the index anew from a commit: a full disk or a kill may have damaged it. */
export const REPAIR = 'set -e; rm -f "$GIT_DIR/index" "$GIT_DIR/index.lock"; git read-tree "$1"';

export const MAX_PACK_BYTES = 512 * 1024 * 1024;

export type ScriptOptions = { timeoutMs: number; headBytes: number; maxBytes: number; signal?: AbortSignal };

export const scriptOptions = (signal: AbortSignal | undefined): ScriptOptions => ({
  timeoutMs: 10 * 60_000,
  headBytes: MAX_PACK_BYTES,
  maxBytes: MAX_PACK_BYTES,
  ...(signal === undefined ? {} : { signal }),
});

/** Runs a script of checkpoints; `links` has it look for repositories that the agent made inside its work tree. */
export type RunScript = (script: string, links?: 'look') => Promise<ExecResult>;

/**
 * A script that fails for no reason of the sandbox's limits is run once more, after the index is made anew from `base`.
 * What was left out of the checkpoint is logged.
 * @throws CheckpointError when it fails again.
 */
export function scriptRunner(
  { provider, log }: { provider: SandboxProvider; log: Log },
  { id, base, args, options }: { id: string; base: CommitSha; args: readonly string[]; options: ScriptOptions },
): RunScript {
  return async (script, links) => {
    const once = () =>
      checkpointExec(provider, id, script, args, { ...options, ...(links && { env: { LINKS: links } }) });
    let result = await once();
    if (result.reason === 'exit' && result.exitCode !== 0 && new CheckpointError(id, '', result).kind === 'other') {
      await checkpointExec(provider, id, REPAIR, [base], options);
      result = await once();
    }
    if (result.reason !== 'exit' || result.exitCode !== 0) throw new CheckpointError(id, 'checkpoint', result);
    if (result.stderr !== '') {
      log.warn({ sandbox: id, stderr: result.stderr.slice(0, 1_000) }, 'checkpoint left something out');
    }
    return result;
  };
}

/** The object named on the first line, which begins with `word`, and what comes after it. */
export function takeLine(output: Buffer, word: string): [CommitSha, Buffer] {
  const end = output.indexOf('\n');
  const line = output.toString('latin1', 0, Math.max(0, Math.min(end, 200)));
  const parsed = CommitSha.safeParse(line.startsWith(`${word} `) ? line.slice(word.length + 1) : '');
  if (!parsed.success) throw new Error(`a checkpoint answered "${line}" where its ${word} was expected`);
  return [parsed.data, output.subarray(end + 1)];
}
