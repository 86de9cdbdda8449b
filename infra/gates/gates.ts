export interface Gate {
  name: string;
  command: readonly string[];
  /** What to do when it fails; its own output is shown above. */
  remedy: string;
}

/** The slowest first, so that two lanes end at about the same time. */
export const STATIC_GATES: readonly Gate[] = [
  {
    name: 'lint (eslint, type-aware)',
    command: ['eslint', '.', '--max-warnings', '0'],
    remedy: 'see the rule’s page on typescript-eslint.io; do not disable it without a reason beside it',
  },
  {
    name: 'types (tsc)',
    // By path: two versions of TypeScript want the name `tsc`.
    command: ['node', 'node_modules/typescript-native/bin/tsc', '-p', '.'],
    remedy: 'mend the types; `any` and @ts-ignore are banned',
  },
  {
    name: 'layers (dependency-cruiser)',
    command: [
      'depcruise',
      '--config',
      '.dependency-cruiser.mjs',
      '--output-type',
      'err-long',
      'src',
      'infra',
      'bin',
      'examples',
      'bench',
      'test',
      'temporal.config.ts',
    ],
    remedy: 'move the code to the layer that may import this, or pass it in as an argument',
  },
  {
    name: 'dead code (knip)',
    command: ['knip', '--no-config-hints'],
    remedy: 'delete what nothing uses, or stop exporting it; new entry points go into knip.json',
  },
  {
    name: 'names and rooms',
    command: ['node', 'infra/gates/names/main.ts'],
    remedy:
      'docs/words.md has the names, AGENTS.md the rooms; a circle is broken by moving what both need to where neither is',
  },
  { name: 'format (biome)', command: ['biome', 'format', '.'], remedy: '`npm run format`' },
];
