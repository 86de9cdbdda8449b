import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Plan } from '../../../src/shared/contracts/plan.ts';
import { checkPlan, type KnownTask, workDigest } from '../../../src/shared/planner/plan-rules.ts';

const task = (id: string, dependsOn: string[] = [], description = `do ${id}`) => ({ id, description, dependsOn });
const plan = (tasks: ReturnType<typeof task>[], done = false) => Plan.parse({ scratchpad: {}, tasks, done });

const rows: [name: string, tasks: ReturnType<typeof task>[], known: KnownTask[], errors: RegExp[]][] = [
  ['takes tasks that depend on each other in order', [task('a'), task('b', ['a']), task('c', ['a', 'b'])], [], []],
  ['takes a dependency on a task planned before', [task('b', ['a'])], [{ id: 'a', status: 'running' }], []],
  [
    'takes a dependency on a task that landed',
    [task('b', ['a'])],
    [{ id: 'a', status: 'complete', branch: 'landed' }],
    [],
  ],
  ['refuses an id that is twice in the plan', [task('a'), task('a')], [], [/^task "a" is twice/]],
  [
    'refuses an id planned before and names a free one',
    [task('a')],
    [
      { id: 'a', status: 'failed' },
      { id: 'a-2', status: 'failed' },
    ],
    [/^task "a" was planned before \(it is failed\).*"a-3"$/],
  ],
  ['refuses an unknown dependency', [task('a', ['zzz'])], [], [/^task "a" depends on "zzz", which is neither/]],
  ['refuses a task that depends on itself', [task('a', ['a'])], [], [/^task "a" depends on itself$/]],
  ['names a cycle', [task('a', ['c']), task('b', ['a']), task('c', ['b'])], [], [/: a → c → b → a$/]],
  ['refuses to wait for a failed task', [task('b', ['a'])], [{ id: 'a', status: 'failed' }], [/"a", which failed/]],
  ['refuses to wait for a cancelled task', [task('b', ['a'])], [{ id: 'a', status: 'cancelled' }], [/was cancelled/]],
  [
    'refuses to wait for an ejected branch',
    [task('b', ['a'])],
    [{ id: 'a', status: 'complete', branch: 'ejected' }],
    [/was ejected/],
  ],
  [
    'refuses to wait for a branch whose conflict nobody could resolve',
    [task('b', ['a'])],
    [{ id: 'a', status: 'complete', branch: 'conflicted' }],
    [/is in conflict/],
  ],
  ['reports every error at once', [task('a', ['x']), task('a', ['y'])], [], [/"x"/, /twice/, /"y"/]],
  ['takes an empty plan', [], [{ id: 'a', status: 'running' }], []],
  [
    'refuses tasks that are too large together',
    Array.from({ length: 9 }, (_, i) => task(`t${i}`, [], `${i} ${'x'.repeat(19_000)}`)),
    [],
    [/^the tasks take 17\d{4} bytes of at most 150000/],
  ],
];

describe('work that is asked for twice', () => {
  const known = (status: 'running' | 'complete' | 'failed'): KnownTask[] => [
    { id: 'old', status, digest: workDigest('Add   the Parser.') },
  ];
  const errors = (tasks: ReturnType<typeof task>[], before: KnownTask[] = []) => checkPlan(plan(tasks), before).errors;

  it('is refused while the other is open or done, whatever the case, punctuation and white space', () => {
    const again = [task('new', [], 'add the parser')];
    expect(errors(again, known('running'))).toEqual([
      'task "new" asks for the same as "old": each piece of work is planned once',
    ]);
    expect(errors(again, known('complete'))).toHaveLength(1);
    expect(errors([task('new', [], 'add the lexer')], known('running'))).toEqual([]);
  });

  it('is refused within one plan, and taken once the other has failed', () => {
    expect(errors([task('a', [], 'Add it.'), task('b', [], 'add it')])).toEqual([
      'task "b" asks for the same as "a": each piece of work is planned once',
    ]);
    expect(errors([task('new', [], 'add the parser')], known('failed'))).toEqual([]);
  });
});

describe('checkPlan', () => {
  for (const [name, tasks, known, errors] of rows) {
    it(name, () => {
      const found = checkPlan(plan(tasks), known).errors;
      expect(found).toHaveLength(errors.length);
      for (const [i, error] of errors.entries()) expect(found[i]).toMatch(error);
    });
  }

  it('measures the scratchpad in bytes, not characters', () => {
    const scratchpad = { goals: '→'.repeat(19_999), state: '→'.repeat(1), reasoning: '', intelligence: '' };
    expect(checkPlan({ scratchpad, tasks: [], done: true }, []).errors).toEqual([
      expect.stringMatching(/^the scratchpad takes 600\d\d bytes of at most 60000/),
    ]);
  });

  it('finds a cycle exactly when there is no order in which all tasks can run', () => {
    const graphs = fc.array(fc.array(fc.integer({ min: 0, max: 7 }), { maxLength: 3 }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(graphs, (edges) => {
        const tasks = edges.map((to, i) =>
          task(
            `t${i}`,
            to.filter((n) => n !== i).map((n) => `t${n}`),
          ),
        );
        const ready = new Set<string>();
        for (let round = 0; round < tasks.length; round++)
          for (const { id, dependsOn } of tasks) if (dependsOn.every((d) => ready.has(d))) ready.add(id);
        const cycle = checkPlan(plan(tasks), []).errors.some((error) => error.startsWith('these tasks wait'));
        expect(cycle).toBe(ready.size < tasks.length);
      }),
    );
  });
});
