/** The names that are not to be used, from the table in docs/words.md: `| not | say |`. */
export function forbiddenIn(words: string): ReadonlyMap<string, string> {
  const section = words.slice(words.indexOf('## Not used'));
  return new Map(
    [...section.matchAll(/^\| `([A-Za-z]+)` \| (.+?) \|$/gm)].map(([, word, instead]) => [word ?? '', instead ?? '']),
  );
}

/** Properties of messages and of carried state that open runs hold, by word: the files that may name them. */
export const WIRE_NAMES: ReadonlyMap<string, ReadonlySet<string>> = new Map();
