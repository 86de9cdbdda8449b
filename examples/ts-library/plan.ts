/** How the planner of this example plans: modules that stand alone, then what their handoffs bring up. */
import type { PlannedTask, PlannerScript, PlanningView } from '../scripted-model/planning.ts';

type Draft = {
  id: string;
  /** One line: also the subject of the commit. */
  title: string;
  details: string;
  files?: string[];
  priority?: number;
  dependsOn?: string[];
  /** Instead of the tests in its scope. */
  command?: string;
};

function task({ id, title, details, files, priority = 3, dependsOn = [], command }: Draft): PlannedTask {
  const scope = files ?? [`src/${id}.ts`, `test/${id}.test.ts`];
  const tests = scope.filter((path) => path.startsWith('test/'));
  return {
    id,
    description: `${title}\n\n${details}`,
    scope,
    acceptance: [
      command === undefined
        ? { text: `The tests in ${tests.join(' and ')} pass.`, command: `node --test ${tests.join(' ')}` }
        : { text: `\`${command}\` succeeds.`, command },
    ],
    priority,
    dependsOn,
  };
}

const module = (id: string, title: string, priority?: number, details = ''): Draft => ({
  id,
  title,
  details: `The module src/${id}.ts as SPEC.md describes it, with tests. ${details}`.trim(),
  priority,
});

const newCode = (code: string): string =>
  `A LineworkError with the new code ${code}, which joins the table in src/errors.ts in alphabetical order.`;

const ALONE: Draft[] = [
  module('width', 'Display width and graphemes', 1, 'By get-east-asian-width. The layout functions will stand on it.'),
  module('template', 'Templates: render', 1, newCode('missing-value')),
  module('glob', 'Globs over paths: globToRegExp and matches', 1, newCode('invalid-pattern')),
  module('duration', 'Durations: parseDuration and formatDuration', 1),
  module('distance', 'Edit distance: levenshtein and closest', 2, 'fastest-levenshtein is the oracle of the tests.'),
  module('diff', 'Differences by lines: diffLines and unified', 2),
  module('bytes', 'Sizes in bytes: parseBytes and formatBytes', 2),
  module('case', 'Words and cases of identifiers', 2),
  module('slug', 'Slugs: slugify'),
  module('dedent', 'Margins: dedent and indent'),
  module('words', 'Lists and counts in words: joinWords, plural, ordinal'),
];

const LAYOUT: Draft[] = [
  ['wrap', 'Wrapping by display width'],
  ['truncate', 'Truncation by display width'],
  ['table', 'Tables with aligned columns'],
].map(([id = '', title = '']) =>
  module(id, title, 2, 'Measure with displayWidth, take characters from graphemes of src/width.ts.'),
);

/** What a person asks for while the run goes on. */
export const STEERING = 'Please say in a CONTRIBUTING.md how the tests are run.';
const ASKED_FOR: { asked: RegExp; task: Draft }[] = [
  {
    asked: /CONTRIBUTING\.md/,
    task: {
      id: 'contributing',
      title: 'CONTRIBUTING.md says how the tests are run',
      details: `From the people who run this: "${STEERING}"`,
      files: ['CONTRIBUTING.md'],
      priority: 1,
      command: "grep -q 'npm test' CONTRIBUTING.md",
    },
  },
];

/** What the handoff of a task brings up: planned once it says so. */
const FOLLOW_UPS: { after: string; suggestion: RegExp; tasks: Draft[] }[] = [
  {
    after: 'width',
    suggestion: /layout/i,
    tasks: [
      {
        id: 'layout',
        title: 'Layout by display width: wrap, truncate, table',
        details:
          'The three modules of the section "Layout" of SPEC.md, each with its tests. Large enough to be divided.',
        files: LAYOUT.flatMap(({ id }) => [`src/${id}.ts`, `test/${id}.test.ts`]),
        priority: 2,
        dependsOn: ['width'],
      },
    ],
  },
  {
    after: 'diff',
    suggestion: /common start and end/i,
    tasks: [
      {
        id: 'diff-trim',
        title: 'Small changes in long texts are cheap to find',
        details:
          'diffLines builds a table of all lines of both texts. Take the common start and end off first, so that a small change in a long text is cheap.',
        files: ['src/diff.ts', 'test/diff-large.test.ts'],
        dependsOn: ['diff'],
      },
    ],
  },
  {
    after: 'distance',
    suggestion: /did you mean/i,
    tasks: [
      {
        ...module(
          'units',
          'An error that names the unit that was probably meant',
          2,
          'unknownUnit(unit, known, text); what was meant is found by closest.',
        ),
        dependsOn: ['distance'],
      },
      {
        id: 'did-you-mean',
        title: 'Durations and sizes say which unit was probably meant',
        details:
          'parseDuration and parseBytes throw the error that unknownUnit of src/units.ts makes, so that they name the unit that was probably meant.',
        files: ['src/duration.ts', 'src/bytes.ts', 'test/did-you-mean.test.ts'],
        dependsOn: ['units', 'duration', 'bytes'],
      },
    ],
  },
];

const ids = (drafts: readonly Draft[]): string[] => drafts.map((draft) => draft.id);

const followUps = FOLLOW_UPS.flatMap((followUp) => followUp.tasks);

const LAST: Draft[] = [
  {
    id: 'index',
    title: 'The index exports everything',
    details: 'src/index.ts exports everything that the modules export; a test holds that nothing is missing.',
    files: ['src/index.ts', 'test/index.test.ts'],
    dependsOn: [...ids(ALONE), ...ids(followUps)],
  },
  {
    id: 'report',
    title: 'An integration test over several modules',
    details: "An integration test builds a report with several modules through the package's own name.",
    files: ['test/report.test.ts'],
    dependsOn: ['index'],
  },
  {
    // Beside docs, which does not know of it: each passes alone, and the branch fails once both have landed.
    id: 'version',
    title: 'The package says its version',
    details:
      'src/version.ts exports VERSION, and so does the index; a test holds that it is the version of package.json.',
    files: ['src/version.ts', 'test/version.test.ts', 'src/index.ts'],
    dependsOn: ['index'],
  },
  {
    id: 'docs',
    title: 'The README documents every export',
    details: 'The README documents every export with an example; a test holds that none is missing.',
    files: ['README.md', 'test/readme.test.ts'],
    dependsOn: ['index'],
  },
];

function drafts(view: PlanningView): Draft[] {
  const brought = FOLLOW_UPS.filter(({ after, suggestion }) =>
    [...view.handoffs.values()].some(
      (seen) => seen.task.startsWith(after) && seen.suggestions.some((s) => suggestion.test(s)),
    ),
  ).flatMap((followUp) => followUp.tasks);
  const ready = brought.length === followUps.length && view.complete(ids(ALONE));
  const asked = ASKED_FOR.filter((each) => view.said.some((text) => each.asked.test(text))).map((each) => each.task);
  return [...ALONE, ...asked, ...brought, ...(ready ? LAST : [])];
}

function reasoning(view: PlanningView, known: readonly Draft[]): string {
  if (view.planned.size === 0) {
    return 'Eleven modules need nothing of each other and can be built at once. What stands on them is planned when their form is known.';
  }
  const fresh = known.filter((draft) => !view.planned.has(draft.id));
  if (fresh.length === 0) return 'The handoffs bring up nothing new; I wait for the open tasks.';
  return `The handoffs bring up ${fresh.map((draft) => draft.id).join(', ')}.`;
}

export const planner: PlannerScript = {
  look: [
    { name: 'find', arguments: { pattern: '*' } },
    { name: 'read', arguments: { path: 'src/errors.ts' } },
    { name: 'read', arguments: { path: 'package.json' } },
  ],
  goals: 'The library that SPEC.md describes, every module with its tests; a fresh clone passes npm test.',
  plan(view) {
    const known = drafts(view);
    return { tasks: known.map(task), done: known.includes(LAST[0] as Draft), reasoning: reasoning(view, known) };
  },
};

/** The subplanner of `layout`: three modules that stand side by side. */
export const layout: PlannerScript = {
  look: [{ name: 'read', arguments: { path: 'src/width.ts' } }],
  goals: 'wrap, truncate and table as SPEC.md describes them, each with its tests.',
  plan: () => ({
    tasks: LAYOUT.map(task),
    done: true,
    reasoning: 'The three share no file and stand on displayWidth alone: they can be built at once.',
  }),
};
