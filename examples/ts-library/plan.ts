/** How the planner of this example plans: modules that stand alone, then what their handoffs bring up. */
import type { PlannedTask, PlannerScript, PlanningView } from '../scripted-model/planning.ts';

type Draft = { id: string; what: string; files?: string[]; priority?: number; dependsOn?: string[] };

function task({ id, what, files, priority = 3, dependsOn = [] }: Draft): PlannedTask {
  const scope = files ?? [`src/${id}.ts`, `test/${id}.test.ts`];
  const tests = scope.filter((path) => path.startsWith('test/'));
  return {
    id,
    description: what,
    scope,
    acceptance: [{ text: `The tests in ${tests.join(' and ')} pass.`, command: `node --test ${tests.join(' ')}` }],
    priority,
    dependsOn,
  };
}

const module = (id: string, what: string, priority?: number): Draft => ({
  id,
  what: `Write the module src/${id}.ts as SPEC.md describes it, with tests: ${what}`,
  priority,
});

const ALONE: Draft[] = [
  module('width', 'graphemes and displayWidth, by get-east-asian-width. The layout functions will stand on it.', 1),
  module('template', 'render. A missing value throws a LineworkError with the new code missing-value.', 1),
  module(
    'glob',
    'globToRegExp and matches. A bad pattern throws a LineworkError with the new code invalid-pattern.',
    1,
  ),
  module('duration', 'parseDuration and formatDuration.', 1),
  module('distance', 'levenshtein and closest; fastest-levenshtein is the oracle of the tests.', 2),
  module('diff', 'diffLines and unified.', 2),
  module('bytes', 'parseBytes and formatBytes.', 2),
  module('case', 'splitWords and the five cases.', 2),
  module('slug', 'slugify.'),
  module('dedent', 'dedent and indent.'),
  module('words', 'joinWords, plural and ordinal.'),
];

const layout = (id: string, what: string): Draft => ({
  ...module(id, `${what} Measure with displayWidth, take characters from graphemes of src/width.ts.`, 2),
  dependsOn: ['width'],
});

/** What the handoff of a task brings up: planned once it says so. */
const FOLLOW_UPS: { after: string; suggestion: RegExp; tasks: Draft[] }[] = [
  {
    after: 'width',
    suggestion: /layout/i,
    tasks: [layout('wrap', 'wrap.'), layout('truncate', 'truncate.'), layout('table', 'table.')],
  },
  {
    after: 'diff',
    suggestion: /common start and end/i,
    tasks: [
      {
        id: 'diff-trim',
        what: 'diffLines builds a table of all lines of both texts. Take the common start and end off first, so that a small change in a long text is cheap.',
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
          'unknownUnit(unit, known, text) is the error for a unit that is not known, with the one of the known units that closest finds.',
          2,
        ),
        dependsOn: ['distance'],
      },
      {
        id: 'did-you-mean',
        what: 'parseDuration and parseBytes throw the error that unknownUnit of src/units.ts makes, so that they name the unit that was probably meant.',
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
    what: 'src/index.ts exports everything that the modules export; a test holds that nothing is missing.',
    files: ['src/index.ts', 'test/index.test.ts'],
    dependsOn: [...ids(ALONE), ...ids(followUps)],
  },
  {
    id: 'report',
    what: "An integration test builds a report with several modules through the package's own name.",
    files: ['test/report.test.ts'],
    dependsOn: ['index'],
  },
  {
    id: 'docs',
    what: 'The README documents every export with an example; a test holds that none is missing.',
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
  return [...ALONE, ...brought, ...(ready ? LAST : [])];
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
