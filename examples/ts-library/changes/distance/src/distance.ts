/**
 * How many single characters must be inserted, deleted or replaced to turn a into b, in UTF-16 code units.
 * Wagner–Fischer with one row: time O(|a|·|b|), memory O(min).
 */
export function levenshtein(a: string, b: string): number {
  if (a.length < b.length) return levenshtein(b, a);
  const row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    let diagonal = i - 1;
    row[0] = i;
    for (let j = 1; j <= b.length; j++) {
      const above = row[j] ?? 0;
      const replaced = diagonal + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(replaced, above + 1, (row[j - 1] ?? 0) + 1);
      diagonal = above;
    }
  }
  return row[b.length] ?? 0;
}

/**
 * The candidate nearest to a word, the earlier one of a tie; undefined when none is within maxDistance
 * (default: a third of the word, rounded up).
 */
export function closest(
  word: string,
  candidates: readonly string[],
  maxDistance = Math.ceil(word.length / 3),
): string | undefined {
  let best: { candidate: string; distance: number } | undefined;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > maxDistance) continue;
    const distance = levenshtein(word, candidate);
    if (distance <= maxDistance && (best === undefined || distance < best.distance)) best = { candidate, distance };
  }
  return best?.candidate;
}
