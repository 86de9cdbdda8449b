/** The names that are not to be used, from the table in docs/words.md: `| not | say |`. */
export function forbiddenIn(words: string): ReadonlyMap<string, string> {
  const section = words.slice(words.indexOf('## Not used'));
  return new Map(
    [...section.matchAll(/^\| `([A-Za-z]+)` \| (.+?) \|$/gm)].map(([, word, instead]) => [word ?? '', instead ?? '']),
  );
}

/** Properties of state that open runs carry through continue-as-new, by word: the files that may name them. */
export const WIRE_NAMES: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  [
    'told',
    new Set([
      'src/shared/planner/lending.ts',
      // How tasks were packed by an older version.
      'src/workflows/planner/state/task-packing.ts',
    ]),
  ],
  ['said', new Set(['src/workflows/planner/state/cancelled-children.ts'])],
]);
