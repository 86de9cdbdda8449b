/** Why a remote says no to a push: for the branch as a whole, or for what one change brings. */
import type { Refusal } from '../../shared/contracts/merge.ts';

/**
 * Judged in this order, over all that was printed: hosts explain themselves in `remote:` lines, and say the same
 * "pre-receive hook declined" for all of these. A hook of the user's own may use the same words; the worst that comes
 * of it is that the wrong remedy is named.
 */
const REFUSALS: readonly [Refusal, RegExp][] = [
  [
    'quota',
    /returned error: 413|repository (?:has exceeded|exceeds) its size limit|would exceed (?:the |your )?storage|(?:storage|disk) quota|no space left on device|over (?:its|their|your) (?:data|disk|storage) quota|pack exceeds maximum allowed size/i,
  ],
  [
    'content',
    /\bGH00[189]:|file size limit|large files? detected|exceeding the size limit|push cannot contain secrets/i,
  ],
  ['content', /secrets? (?:detected|found)|contains? (?:a )?secret|lfs objects? (?:are|is) missing|unknown git lfs/i],
  [
    'content',
    /push rule violation|commit message (?:does not|must)|(?:file ?name|branch name) .* (?:blacklisted|prohibited)/i,
  ],
  ['content', /(?:author|committer) .* (?:is not a member|cannot be verified|is not verified)|must have verified/i],
  ['protected', /protected (?:branch|ref)|\bGH006:|through (?:a )?(?:pull|merge) requests?|rule violations/i],
  ['protected', /(?:branch|ref) is (?:locked|frozen|read-only)|required status checks?|\bGH013:/i],
  [
    'rights',
    /returned error: 403|permission to \S+ denied|not allowed to (?:push|upload|create)|insufficient permission/i,
  ],
  ['rights', /do not have permission|access denied|(?:is|been) archived|read-only|dubious ownership|checked out/i],
  // git's own check of what it gets (fsck): the objects are at fault.
  ['content', /\(unpacker error\)|remote unpack failed/i],
  ['hook', /hook declined/i],
];

/** @param output all that git printed of a push that was refused. */
export function classifyRefusal(output: string): Refusal {
  return REFUSALS.find(([, pattern]) => pattern.test(output))?.[0] ?? 'other';
}
