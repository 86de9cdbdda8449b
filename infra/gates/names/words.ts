/** The names that are not to be used, from the table in docs/words.md: `| not | say |`. */
export function forbiddenIn(words: string): ReadonlyMap<string, string> {
  const section = words.slice(words.indexOf('## Not used'));
  return new Map(
    [...section.matchAll(/^\| `([A-Za-z]+)` \| (.+?) \|$/gm)].map(([, word, instead]) => [word ?? '', instead ?? '']),
  );
}

/** Properties of results and of state that histories of open runs hold, by word: the files that may name them. */
export const WIRE_NAMES: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  [
    'told',
    new Set([
      'src/shared/planner/lending.ts',
      // How tasks were packed by an older version.
      'src/workflows/planner/state/task-packing.ts',
    ]),
  ],
  [
    'kept',
    new Set([
      'src/activities/run/finish.ts',
      'src/shared/contracts/activities.ts',
      'src/shared/contracts/results.ts',
      'src/workflows/planner/planner.ts',
    ]),
  ],
  ['said', new Set(['src/workflows/planner/state/cancelled-children.ts'])],
]);
