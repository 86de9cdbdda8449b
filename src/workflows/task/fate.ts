/** What became of a task's branch, from the queue's last answer. Pure. */
import type { HeldWork } from '../../shared/contracts/held.ts';
import type { MergeOutcome } from '../../shared/contracts/merge.ts';
import type { BranchOutcome } from '../../shared/contracts/task.ts';
import { boundedPaths } from '../../shared/task/handoff-size.ts';
import { RUN_TEXT } from '../../shared/planner/text.ts';
import { TASK_TEXT } from '../../shared/task/text.ts';

export const MAX_FILES_CHARS = 10_000;
const MAX_CONFLICTS_TOLD = 10;

type Conflicted = Extract<MergeOutcome, { kind: 'conflicted' }>;
export type LandedOutcome = Extract<MergeOutcome, { kind: 'landed' }>;

export const fateOfLanded = ({ commit, lost, more }: LandedOutcome): BranchOutcome => ({
  kind: 'landed',
  commit,
  ...(lost === undefined ? {} : { warning: RUN_TEXT.lost(lost, more) }),
});

/**
 * @param held what a guard that says no keeps from landing. @param ref of the task's own work.
 */
export function fateOf(outcome: MergeOutcome, held: HeldWork, ref: string): BranchOutcome {
  switch (outcome.kind) {
    case 'landed':
      return fateOfLanded(outcome);
    case 'held':
      return {
        kind: 'ejected',
        reason: RUN_TEXT.held(outcome.lost, outcome.more),
        ref: held.ref,
        refused: false,
        held,
      };
    case 'empty':
      return { kind: 'none' };
    case 'conflicted':
      return {
        kind: 'conflicted',
        ...namedFiles(outcome),
        conflicts: outcome.conflicts?.slice(0, MAX_CONFLICTS_TOLD),
        ref,
      };
    case 'refused':
      return {
        kind: 'ejected',
        reason: RUN_TEXT.refusal(outcome.reason, outcome.because),
        ref,
        // What is wrong with one change does not end the run.
        refused: outcome.because !== 'content',
        ...(outcome.because === 'hook' || outcome.because === 'quota' ? { doubtful: true } : {}),
      };
    case 'dropped':
    case 'ejected':
      return { kind: 'ejected', reason: outcome.reason, ref, refused: false };
  }
}

/** @param held of a resolution that makes tests or checks weaker, as `evidence` says. */
export const heldAsWeaker = (evidence: readonly string[], held: HeldWork): BranchOutcome => ({
  kind: 'ejected',
  reason: TASK_TEXT.resolutionHeld(evidence),
  ref: held.ref,
  refused: false,
  held,
});

/** The same; where it has landed with weaker tests or checks, with a word of warning. */
export function landedWeaker(fate: BranchOutcome, evidence: readonly string[]): BranchOutcome {
  if (fate.kind !== 'landed' || evidence.length === 0) return fate;
  const { warning } = fate;
  const weaker = TASK_TEXT.resolvedWeaker(evidence);
  return { ...fate, warning: warning === undefined ? weaker : `${warning}; ${weaker}` };
}

function namedFiles({ files, more = 0 }: Conflicted): { files: string[]; more?: number } {
  const named = boundedPaths(files, MAX_FILES_CHARS);
  const others = more + files.length - named.length;
  return { files: named, ...(others === 0 ? {} : { more: others }) };
}
