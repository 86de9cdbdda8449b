/**
 * Outcomes of merges in bounds: those of a whole batch are one activity's result, and one of them may name thousands of
 * files. What is cut is counted. Pure.
 */
import type { MergeOutcome } from '../contracts/merge.ts';

/** Of all outcomes of one result, as JSON in UTF-8; a payload may have 2 MiB, and there is more in one. */
const MAX_OUTCOMES_BYTES = 1_000_000;
/** One outcome is told with fewer files well before a batch of them is too long. */
const MAX_OUTCOME_BYTES = 64_000;
/** Whatever the share: the kind, a commit, and a count of what was cut. */
const FRAME_BYTES = 200;

const bytesOf = (value: unknown): number => new TextEncoder().encode(JSON.stringify(value)).length;

/**
 * @returns the same outcomes in the same order, of at most `maxBytes` together. Each that is longer than its share
 * names its first files, and `more` says how many it does not; texts end with how much is left out.
 */
export function boundedOutcomes(
  outcomes: readonly MergeOutcome[],
  maxBytes: number = MAX_OUTCOMES_BYTES,
): MergeOutcome[] {
  const each = outcomes.map((outcome) => boundedOutcome(outcome, MAX_OUTCOME_BYTES));
  const sizes = each.map((outcome) => bytesOf(outcome) + 1);
  const share = largestShare(sizes, maxBytes);
  return each.map((outcome, i) => ((sizes[i] ?? 0) <= share ? outcome : boundedOutcome(outcome, share)));
}

/** So that those which are longer have the same, and those which are not leave them what they do not need. */
function largestShare(sizes: readonly number[], maxBytes: number): number {
  let left = maxBytes;
  for (const [i, size] of sizes.toSorted((a, b) => a - b).entries()) {
    const share = Math.floor(left / (sizes.length - i));
    if (size > share) return share;
    left -= size;
  }
  return maxBytes;
}

/** The same of one. */
export function boundedOutcome(outcome: MergeOutcome, maxBytes: number): MergeOutcome {
  if (bytesOf(outcome) < maxBytes) return outcome;
  const room = Math.max(0, maxBytes - FRAME_BYTES);
  switch (outcome.kind) {
    case 'conflicted': {
      const { files, conflicts = [], ...rest } = outcome;
      const named = fitting(files, room * 0.6, (path) => pathEnd(path, room * 0.6));
      const fittingConflicts = fitting(conflicts, room - bytesOf(named));
      return {
        ...rest,
        files: named,
        ...moreOf(outcome, files, named),
        ...(fittingConflicts.length > 0 ? { conflicts: fittingConflicts } : {}),
      };
    }
    case 'landed':
    case 'held': {
      const { lost = [] } = outcome;
      const named = fitting(lost, room, ({ path, count }) => ({
        path: pathEnd(path, room / 2),
        count,
        sample: [],
        from: [],
      }));
      return { ...outcome, ...moreOf(outcome, lost, named), lost: named };
    }
    case 'empty':
      return outcome;
    case 'refused':
    case 'dropped':
    case 'ejected':
      return { ...outcome, reason: textStart(outcome.reason, room) };
  }
}

const moreOf = (
  { more = 0 }: { more?: number | undefined },
  all: readonly unknown[],
  named: readonly unknown[],
): { more?: number } => {
  const count = more + all.length - named.length;
  return count === 0 ? {} : { more: count };
};

/** The first ones that fit; one at least where `shortest` can make it fit. */
function fitting<T>(items: readonly T[], maxBytes: number, shortest?: (item: T) => T): T[] {
  let left = maxBytes - 2;
  const end = items.findIndex((item) => (left -= bytesOf(item) + 1) < 0);
  const fittingItems = end === -1 ? [...items] : items.slice(0, end);
  const [first] = items;
  return fittingItems.length === 0 && first !== undefined && shortest !== undefined ? [shortest(first)] : fittingItems;
}

/** The end of a path says more than its beginning. */
function pathEnd(path: string, maxBytes: number): string {
  let chars = path.length;
  while (chars > 0 && bytesOf(`…${path.slice(-chars)}`) > maxBytes) chars = Math.floor(chars * 0.8);
  return chars === path.length ? path : `…${chars === 0 ? '' : path.slice(-chars)}`.toWellFormed();
}

function textStart(text: string, maxBytes: number): string {
  const shortened = (chars: number): string =>
    `${text.slice(0, chars)}… (${text.length - chars} characters are left out)`.toWellFormed();
  let chars = text.length;
  while (chars > 0 && bytesOf(shortened(chars)) > maxBytes) chars = Math.floor(chars * 0.8);
  return shortened(chars);
}
