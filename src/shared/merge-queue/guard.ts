/**
 * Nobody's code disappears: which lines a landing takes off a branch that others landed while it was made. Pure.
 *
 * Lines are compared by content, without regard to their place and their white space: a line that was moved,
 * indented anew or that is there as often as the others made it is not lost. A three-way merge that is clean loses
 * none (it keeps what only the other side has, and what both have changed is a conflict); the resolution of a conflict
 * may.
 */

/** One file that the landing changes; absent contents: there is no such file. */
export type GuardedFile = {
  path: string;
  /** Where the work began. */
  since: string | undefined;
  /** On the branch, with all that others have landed since. */
  before: string | undefined;
  /** As it is to land. */
  after: string | undefined;
};

/** Lines of one file, as they stood on the branch, each as often as it is lost. */
export type LostFile = { path: string; lostLines: string[] };

/** @param files all that the landing changes: a line may have moved to any of them. */
export function linesLost(files: readonly GuardedFile[]): LostFile[] {
  const gained = new Map<string, number>();
  for (const { before, after } of files) {
    const had = countLines(before);
    for (const [key, times] of countLines(after)) add(gained, key, Math.max(0, times - (had.get(key) ?? 0)));
  }
  const lost: LostFile[] = [];
  for (const { path, since, before, after } of files) {
    const atStart = countLines(since);
    const left = countLines(after);
    const lostLines: string[] = [];
    // How often others made a line that is not there as often any more.
    const missing = new Map<string, number>();
    for (const [key, times] of countLines(before)) {
      const gone = times - (atStart.get(key) ?? 0) - (left.get(key) ?? 0);
      if (gone > 0) missing.set(key, gone);
    }
    // The last ones of several that are the same: those at the front were there first.
    for (const line of (before ?? '').split('\n').reverse()) {
      const key = keyOf(line);
      const still = missing.get(key) ?? 0;
      if (still === 0) continue;
      missing.set(key, still - 1);
      const elsewhere = gained.get(key) ?? 0;
      if (elsewhere > 0) gained.set(key, elsewhere - 1);
      else lostLines.push(line.trim());
    }
    if (lostLines.length > 0) lost.push({ path, lostLines: lostLines.reverse() });
  }
  return lost;
}

/** Of lines that say something: brackets, blank lines and single words of syntax are nobody's. */
function countLines(text: string | undefined): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of (text ?? '').split('\n')) {
    const key = keyOf(line);
    if (key !== '') add(counts, key, 1);
  }
  return counts;
}

const MIN_WORD_CHARS = 3;
const SYNTAX = /^\W*(?:else|end|endif|esac|done|begin|then|try|finally|return|break|continue|pass)\W*$/i;

/** The same for lines that count as the same; '' for one that does not count. */
function keyOf(line: string): string {
  const words = line.replace(/[^\p{L}\p{N}_]/gu, '').length;
  if (words < MIN_WORD_CHARS || SYNTAX.test(line)) return '';
  return line.trim().replace(/\s+/g, ' ');
}

function add(counts: Map<string, number>, key: string, times: number): void {
  counts.set(key, (counts.get(key) ?? 0) + times);
}
