/** Builds `linework`, a TypeScript library: what each task's agent does, and how conflicts are resolved. */
import { fileURLToPath } from 'node:url';
import { fixes } from './fixes.ts';
import { mergeConflicts, sortedUnion } from '../scripted-model/conflicts.ts';
import { type Example, exampleScript, filesBelow } from '../scripted-model/example.ts';
import { check, edit, type HandoffPlay, type Play, read, type Step, step, write } from '../scripted-model/steps.ts';
import { layout, planner, STEERING } from './plan.ts';

const dir = fileURLToPath(new URL('.', import.meta.url));

/** Looks at something, writes the files of `changes/<folder>`, makes further edits, runs the tests, hands off. */
type Build = {
  look?: string[];
  folder: string;
  edits?: Step[];
  handoff: Omit<HandoffPlay, 'status'>;
  repairs?: number;
};

function build({ look = ['package.json'], folder, edits = [], handoff, repairs }: Build): Play {
  const files = filesBelow(`${dir}changes/${folder}`);
  const tests = files.map(([path]) => path).filter((path) => path.startsWith('test/'));
  const sources = files.filter(([path]) => !path.startsWith('test/'));
  const turn = (say: string, list: [string, string][]): Step[] =>
    list.length === 0 ? [] : [step(say, ...list.map(([path, content]) => write(path, content)))];
  return {
    steps: [
      step('I look at what there is.', ...look.map(read)),
      ...turn('I write the code.', sources),
      ...edits,
      ...turn(
        'I write its tests.',
        files.filter(([path]) => tests.includes(path)),
      ),
      check('The new tests pass?', `node --test ${tests.join(' ')}`),
      check('And all the others?', 'npm test'),
    ],
    handoff: { status: 'complete', ...handoff },
    repairs,
  };
}

/** One more code in the table of errors, which lies outside the scope of the task. */
const addCode = (code: string, text: string): Step =>
  step(
    `The table of errors needs the code ${code}.`,
    edit(
      'src/errors.ts',
      "  'invalid-number': 'a number was expected',\n",
      `  'invalid-number': 'a number was expected',\n  '${code}': '${text}',\n`,
    ),
  );

const simple =
  (folder: string, summary: string, more: Partial<Build> & Partial<HandoffPlay> = {}) =>
  (): Play => {
    const { concerns = [], suggestions = [], ...rest } = more;
    return build({ folder, handoff: { summary, concerns, suggestions }, ...rest });
  };

const OUTSIDE = 'src/errors.ts is outside my scope; another task may add its own code at the same place.';

const diffTrim = step(
  'I take the common start and end off before the table is built.',
  edit(
    'src/diff.ts',
    '  return editScript(linesOf(a), linesOf(b));\n',
    [
      '  const [from, to] = [linesOf(a), linesOf(b)];',
      '  const shorter = Math.min(from.length, to.length);',
      '  let start = 0;',
      '  while (start < shorter && from[start] === to[start]) start++;',
      '  let end = 0;',
      '  while (end < shorter - start && from.at(-1 - end) === to.at(-1 - end)) end++;',
      "  const same = (lines: readonly string[]): Change[] => lines.map((line) => ({ kind: 'same', line }));",
      '  return [',
      '    ...same(from.slice(0, start)),',
      '    ...editScript(from.slice(start, from.length - end), to.slice(start, to.length - end)),',
      '    ...same(from.slice(from.length - end)),',
      '  ];',
      '',
    ].join('\n'),
  ),
);

const importUnits = (path: string): ReturnType<typeof edit> =>
  edit(
    path,
    "import { LineworkError } from './errors.ts';\n",
    "import { LineworkError } from './errors.ts';\nimport { unknownUnit } from './units.ts';\n",
  );

const didYouMean = step(
  'Both parsers throw the new error.',
  importUnits('src/duration.ts'),
  edit(
    'src/duration.ts',
    'throw new LineworkError(\'unknown-unit\', `"${unit}" in "${text}"`)',
    'throw unknownUnit(unit, Object.keys(DURATION_UNITS), text)',
  ),
  importUnits('src/bytes.ts'),
  edit(
    'src/bytes.ts',
    'throw new LineworkError(\'unknown-unit\', `"${unit}" in "${text}"`)',
    'throw unknownUnit(unit, Object.keys(BYTE_UNITS), text)',
  ),
);

const CONTRIBUTING = `# Contributing

\`npm ci\` installs what the lockfile names; \`npm test\` runs all tests, and must pass before a change lands.
Tests stand in \`test/<module>.test.ts\`, beside no build step: Node strips the types.
`;

const tasks: Readonly<Record<string, (attempt: number) => Play>> = {
  width: simple('width', 'graphemes and displayWidth, tested with wide, combining and emoji characters.', {
    suggestions: [
      'Layout functions (wrap, truncate, table) can stand on displayWidth(text) and graphemes(text) of src/width.ts.',
    ],
  }),
  template: simple('template', 'render, which throws missing-value for a name without a value.', {
    look: ['src/errors.ts'],
    edits: [addCode('missing-value', 'there is no value')],
    concerns: [OUTSIDE],
  }),
  glob: simple('glob', 'globToRegExp and matches, which throw invalid-pattern for an unclosed bracket.', {
    look: ['src/errors.ts'],
    edits: [addCode('invalid-pattern', 'the pattern is not complete')],
    concerns: [OUTSIDE],
  }),
  duration: (attempt) =>
    build({
      look: attempt === 1 ? ['src/errors.ts'] : ['src/errors.ts', 'src/duration.ts'],
      folder: attempt === 1 ? 'duration.1' : 'duration',
      handoff: { summary: 'parseDuration reads several units in a row; formatDuration writes them.' },
      repairs: attempt === 1 ? 0 : 1,
    }),
  distance: simple(
    'distance',
    'levenshtein in linear memory, and closest; equal to fastest-levenshtein on 2,000 pairs.',
    {
      suggestions: ['Errors about unknown units could say "did you mean …" by closest(unit, units).'],
    },
  ),
  diff: simple('diff', 'diffLines and unified.', {
    concerns: ['The table of common subsequences takes |a|·|b| memory: texts of 100,000 lines do not fit.'],
    suggestions: ['Taking off the common start and end first makes small changes in long texts cheap.'],
  }),
  bytes: simple('bytes', 'parseBytes and formatBytes, decimal and binary units.', { look: ['src/errors.ts'] }),
  case: simple('case', 'splitWords and five cases made from it.'),
  slug: simple('slug', 'slugify with separator and maxLength.'),
  dedent: simple('dedent', 'dedent and indent.'),
  words: simple('words', 'joinWords, plural and ordinal.'),
  wrap: simple('wrap', 'wrap by display width.', { look: ['src/width.ts'] }),
  truncate: simple('truncate', 'truncate at the end, the start or in the middle.', { look: ['src/width.ts'] }),
  table: simple('table', 'table with header, alignment and gap.', { look: ['src/width.ts'] }),
  'diff-trim': simple('diff-trim', 'The common start and end are taken off before the table is built.', {
    look: ['src/diff.ts'],
    edits: [diffTrim],
  }),
  units: simple('units', 'unknownUnit, with the unit that was probably meant.', {
    look: ['src/errors.ts', 'src/distance.ts'],
  }),
  'did-you-mean': simple('did-you-mean', 'Errors about unknown units name the unit that was probably meant.', {
    look: ['src/duration.ts', 'src/bytes.ts', 'src/units.ts'],
    edits: [didYouMean],
  }),
  index: simple('index', 'src/index.ts exports everything; a test compares it with the modules.', {
    look: ['src/index.ts'],
  }),
  report: simple('report', 'An integration test over eleven functions.'),
  contributing: () => ({
    steps: [
      step('I look at how the tests are run.', read('package.json')),
      step('I write it down.', write('CONTRIBUTING.md', CONTRIBUTING)),
      check('It is right?', 'npm test'),
    ],
    handoff: { status: 'complete', summary: 'CONTRIBUTING.md says how the tests are run.' },
  }),
  docs: simple('docs', 'The README documents every export.', { look: ['README.md', 'src/index.ts'] }),
  version: simple('version', 'VERSION, equal to the version of package.json.', {
    look: ['package.json', 'src/index.ts'],
    edits: [
      step(
        'The index exports it.',
        edit('src/index.ts', 'export { displayWidth', "export { VERSION } from './version.ts';\nexport { displayWidth"),
      ),
    ],
  }),
  'fix-readme': () => ({
    steps: [
      step('I look at the README.', read('README.md')),
      step(
        'I add the row that is missing.',
        edit(
          'README.md',
          '| `LineworkError`, `ERROR_CODES` |',
          '| `VERSION` | the version of this package |\n| `LineworkError`, `ERROR_CODES` |',
        ),
      ),
      check('It names every export now?', 'npm test'),
    ],
    handoff: { status: 'complete', summary: 'The README names VERSION.' },
  }),
};

const example: Example = {
  name: 'ts-library',
  dir,
  steering: STEERING,
  check: 'npm ci --ignore-scripts --no-audit --no-fund && npm test',
  script: exampleScript('ts-library', {
    planner,
    divisions: { layout },
    tasks,
    fixes,
    conflicts: {
      files: { 'src/errors.ts': (content) => mergeConflicts(content, sortedUnion) },
      command: 'npm test',
    },
  }),
};

export default example;
