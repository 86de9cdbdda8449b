/**
 * Globs of the tool `find`: `*` and `?` within one path component, `**` as a component for any number of them.
 * Matched without regular expressions, so that no pattern of a model can take exponential time. Pure.
 */

/** A pattern without `/` is matched against the last component, any other against the whole path. */
export function matchesGlob(pattern: string, path: string): boolean {
  const patternParts = pattern.replace(/^\.?\/+/, '').split('/');
  const parts = path.split('/');
  if (patternParts.length === 1 && patternParts[0] !== '**')
    return matchesPart(patternParts[0] ?? '', parts.at(-1) ?? '');
  return matchList(patternParts, parts, (part) => part === '**', matchesPart);
}

const matchesPart = (pattern: string, text: string): boolean =>
  matchList(
    [...pattern],
    [...text],
    (char) => char === '*',
    (char, other) => char === '?' || char === other,
  );

/** Greedy matching with one point to come back to: at most pattern × items steps. */
function matchList(
  pattern: readonly string[],
  items: readonly string[],
  isStar: (symbol: string) => boolean,
  same: (symbol: string, item: string) => boolean,
): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let i = 0; i < items.length; ) {
    const symbol = pattern[at];
    if (symbol !== undefined && isStar(symbol)) {
      star = at++;
      resume = i;
    } else if (symbol !== undefined && same(symbol, items[i] ?? '')) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++resume;
    } else return false;
  }
  return pattern.slice(at).every(isStar);
}
