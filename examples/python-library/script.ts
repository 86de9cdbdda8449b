/** Builds `ledger`, a Python library with pytest: modules first, then what stands on them. */
import { fileURLToPath } from 'node:url';
import { type Example, exampleScript, filesBelow } from '../scripted-model/example.ts';
import type { PlannedTask, PlannerScript } from '../scripted-model/planning.ts';
import { check, type HandoffPlay, type Play, read, step, write } from '../scripted-model/steps.ts';

const dir = fileURLToPath(new URL('.', import.meta.url));
const PYTEST = '.venv/bin/python -m pytest -q';

function task(id: string, title: string, dependsOn: string[] = []): PlannedTask {
  const tests = `tests/test_${id}.py`;
  return {
    id,
    description: `${title}

The module ledger/${id}.py as SPEC.md describes it, with tests in ${tests}.`,
    scope: [`ledger/${id}.py`, tests],
    acceptance: [{ text: 'Its tests pass.', command: `${PYTEST} ${tests}` }],
    priority: dependsOn.length === 0 ? 1 : 3,
    dependsOn,
  };
}

const FIRST = [task('money', 'Exact amounts of money'), task('accounts', 'Names of accounts and their parents')];
const SECOND = [
  task('journal', 'Journals: transactions that add up to zero', ['money', 'accounts']),
  task('report', 'Balances, their table, and the command', ['journal']),
];

const planner: PlannerScript = {
  look: [
    { name: 'ls', arguments: {} },
    { name: 'read', arguments: { path: 'pyproject.toml' } },
  ],
  goals: 'The library that SPEC.md describes; pytest passes in a fresh clone.',
  plan(view) {
    const ready = view.complete(['money', 'accounts']);
    return {
      tasks: ready ? [...FIRST, ...SECOND] : FIRST,
      done: ready,
      reasoning: ready
        ? 'money and accounts have the form that their handoffs say; the journal can be specified on them.'
        : 'Amounts and account names need nothing of each other; the rest stands on them.',
    };
  },
};

const build = (id: string, look: string[], handoff: Omit<HandoffPlay, 'status'>) => (): Play => ({
  steps: [
    step('I look at what there is.', ...look.map(read)),
    step('I write the module and its tests.', ...filesBelow(`${dir}changes/${id}`).map((file) => write(...file))),
    check('The new tests pass?', `${PYTEST} tests/test_${id}.py`),
    check('And all the others?', PYTEST),
  ],
  handoff: { status: 'complete', ...handoff },
});

const example: Example = {
  name: 'python-library',
  dir,
  check:
    'python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt && .venv/bin/python -m pytest -q',
  script: exampleScript('python-library', {
    planner,
    tasks: {
      money: build('money', ['pyproject.toml'], {
        summary: 'Money with parse, addition, negation and str.',
        suggestions: ['The journal can read amounts by Money.parse(text), which raises ValueError.'],
      }),
      accounts: build('accounts', ['pyproject.toml'], { summary: 'validate(name) and parents(name).' }),
      journal: build('journal', ['ledger/money.py', 'ledger/accounts.py'], {
        summary: 'read(lines) gives transactions; JournalError names the line.',
      }),
      report: build('report', ['ledger/journal.py'], { summary: 'balances, render and the command.' }),
    },
    conflicts: { files: {}, command: PYTEST },
  }),
};

export default example;
