/**
 * A small example for tests of faults: ten tasks in two rounds, two of which conflict in a shared file, one of
 * which is tried twice. Whatever the order in which they land, the result is `LEDGER_RESULT`.
 */
import { mergeConflicts, sortedUnion } from '../../examples/scripted-model/conflicts.ts';
import { exampleScript } from '../../examples/scripted-model/example.ts';
import type { PlannedTask } from '../../examples/scripted-model/planning.ts';
import { check, type Play, read, type Step, step, write } from '../../examples/scripted-model/steps.ts';
import type { Script } from '../../examples/scripted-model/conversation.ts';

export const LEDGER_FILES = { 'README.md': '# ledger\n', 'LIST.md': 'a first line\nz last line\n' };
export const LEDGER_SPEC = 'Write one page for each letter. Pages that are listed stand in LIST.md, in order.\n';

const FIRST = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta'];
const SECOND = ['iota', 'kappa'];
/** Both add a line at the same place of LIST.md. */
const LISTED = ['alpha', 'beta'];
/** Its first attempt writes the wrong page and does not pass its check. */
const RETRIED = 'gamma';

/** Its agent sees a long output: with `LEDGER_COMPACT_TOKENS` its conversation is compacted. */
const LENGTHY = 'delta';
export const LEDGER_COMPACT_TOKENS = 4_000;

const page = (id: string): string => `pages/${id}.md`;
const text = (id: string): string => `# ${id}\n\nThe page of ${id}.\n`;
const line = (id: string): string => `listed: ${id}`;

/** Path to content of the branch at the end. */
export const LEDGER_RESULT: Readonly<Record<string, string>> = {
  ...LEDGER_FILES,
  ...Object.fromEntries([...FIRST, ...SECOND].map((id) => [page(id), text(id)])),
  'LIST.md': `${['a first line', ...LISTED.map(line), 'z last line'].sort().join('\n')}\n`,
};

const planned = (id: string, dependsOn: string[] = []): PlannedTask => ({
  id,
  description: `Write ${page(id)}.`,
  scope: [page(id)],
  acceptance: [{ text: 'The page has its title.', command: `grep -q '^# ${id}$' ${page(id)}` }],
  priority: 3,
  dependsOn,
});

/** Adds the line and sorts; doing it twice changes nothing, so an interrupted call may be made again. */
const list = (id: string): Step => ({
  say: 'The list gets its line.',
  calls: [
    {
      name: 'bash',
      arguments: {
        command: `grep -qxF '${line(id)}' LIST.md || { printf '%s\\n' '${line(id)}' >> LIST.md && LC_ALL=C sort -o LIST.md LIST.md; }`,
      },
    },
  ],
});

function play(id: string, attempt: number): Play {
  const wrong = id === RETRIED && attempt === 1;
  return {
    steps: [
      step('I look at what there is.', read('README.md'), read('LIST.md')),
      step('I write the page.', write(page(id), wrong ? 'no title\n' : text(id))),
      ...(LISTED.includes(id) ? [list(id)] : []),
      step('I read it again.', read(page(id))),
      ...(id === LENGTHY ? [step('I count.', { name: 'bash', arguments: { command: 'seq 1 4000' } })] : []),
      check('Is the title there?', `sleep 0.5; grep -q '^# ${id}$' ${page(id)}`),
      check('And the list is in order?', 'LC_ALL=C sort -c LIST.md'),
    ],
    handoff: {
      status: 'complete',
      summary: `The page ${id} is written.`,
      suggestions: id === 'theta' ? ['More pages could follow: iota, kappa.'] : [],
    },
    repairs: wrong ? 0 : 1,
  };
}

export const ledgerScript: Script = exampleScript('ledger', {
  planner: {
    look: [{ name: 'ls', arguments: {} }],
    goals: 'A page for each letter.',
    plan(view) {
      const more = [...view.handoffs.values()].some(({ suggestions }) => suggestions.some((s) => /iota/.test(s)));
      const tasks = [...FIRST.map((id) => planned(id)), ...(more ? SECOND.map((id) => planned(id, ['theta'])) : [])];
      return { tasks, done: more, reasoning: more ? 'The second half follows.' : 'Eight pages to begin with.' };
    },
  },
  tasks: Object.fromEntries([...FIRST, ...SECOND].map((id) => [id, (attempt: number) => play(id, attempt)] as const)),
  conflicts: {
    files: { 'LIST.md': (content) => mergeConflicts(content, sortedUnion) },
    command: 'LC_ALL=C sort -c LIST.md',
  },
});
