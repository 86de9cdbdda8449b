import { describe, expect, it } from 'vitest';
import type { CheckError, CheckRun } from '../../../src/shared/contracts/checks.ts';
import { Fixes } from '../../../src/shared/contracts/sweep.ts';
import { fixProblems, fixTasks, plainFixes } from '../../../src/shared/reconciler/fixes.ts';
import { fewerTests, testsOf } from '../../../src/shared/reconciler/sweep-tests.ts';

const error = (file: string, check = 'test'): CheckError => ({
  check,
  file,
  line: 3,
  message: 'broken',
  signature: file,
});
const run = (name: string, errors: CheckError[]): CheckRun => ({
  name,
  command: `npm run ${name}`,
  status: errors.length > 0 ? 'failed' : 'passed',
  durationMs: 1,
  errors,
  tail: `${name} says so`,
});
const fixes = (...tasks: object[]) =>
  Fixes.parse({ tasks: tasks.map((task, i) => ({ id: `fix-${i + 1}`, description: `Mend ${i + 1}.`, ...task })) });
const errors = [error('src/a.ts'), error('src/b.ts'), error('lib/c.ts')];

describe('fixProblems', () => {
  it('takes tasks that are apart from each other', () => {
    const proposal = fixes(
      { scope: ['src/a.ts'], errors: [1] },
      { scope: ['lib/'], errors: [3], dependsOn: ['fix-1'] },
    );
    expect(fixProblems(proposal, { errors, taken: ['other'] })).toEqual([]);
  });

  it.each<[string, object[], string]>([
    ['an id that was used', [{ id: 'used' }], 'The id used was used before'],
    ['one id twice', [{ id: 'x' }, { id: 'x' }], 'Two tasks have the id x'],
    ['an error that is not there', [{ errors: [4] }], 'names error 4; there are 3'],
    ['the same files twice', [{ scope: ['src/'] }, { scope: ['src/a.ts'] }], 'make them one task'],
    ['a dependency on what comes later', [{ dependsOn: ['fix-2'] }, {}], 'which is not before it here'],
  ])('says what is wrong with %s', (_, tasks, said) => {
    expect(fixProblems(fixes(...tasks), { errors, taken: ['used'] }).join('\n')).toContain(said);
  });

  it('knows no more than five', () => {
    expect(
      Fixes.safeParse({ tasks: Array.from({ length: 6 }, (_, i) => ({ id: `f${i}`, description: 'x' })) }).success,
    ).toBe(false);
  });
});

describe('fixTasks', () => {
  it('makes them first in line, with what they are to mend, and knows which error waits for which', () => {
    const proposal = fixes({ scope: ['src/'], priority: 7 }, { scope: ['x.ts'], errors: [3] });
    const { tasks, made } = fixTasks(proposal, errors, [run('test', errors)]);
    expect(tasks.map(({ priority, divide }) => [priority, divide])).toEqual([
      [1, false],
      [1, false],
    ]);
    expect(tasks[0]?.description).toContain('- src/a.ts:3: broken\n- src/b.ts:3: broken\n\nMend the cause.');
    expect(tasks[1]?.description).toContain('lib/c.ts');
    expect(made.map(({ tasks: of }) => of)).toEqual([['fix-1'], ['fix-1'], ['fix-2']]);
  });

  it('has one that is alone make the failing checks pass; of several none has to', () => {
    const checks = [run('test', errors), run('lint', [])];
    const alone = fixTasks(fixes({ acceptance: [{ text: 'It runs', command: 'true' }] }), errors, checks).tasks[0];
    expect(alone?.acceptance.map(({ command }) => command)).toEqual(['true', 'npm run test']);
    expect(fixTasks(fixes({}, {}), errors, checks).tasks.flatMap(({ acceptance }) => acceptance)).toEqual([]);
  });

  it('leaves what nobody claims to all, so that it is looked at again once they have ended', () => {
    const { made } = fixTasks(fixes({ errors: [1] }, { errors: [2] }), errors, []);
    expect(made[2]?.tasks).toEqual(['fix-1', 'fix-2']);
  });
});

describe('plainFixes', () => {
  it('makes one task for each failing check, at most five, under ids that are free', () => {
    const checks = Array.from({ length: 7 }, (_, i) => run(`check-${i}`, [error(`f${i}`, `check-${i}`)]));
    const all = checks.flatMap((check) => check.errors);
    const { tasks, made } = plainFixes(all, checks, { number: 4, taken: ['fix-4-1'] });
    expect(tasks.map(({ id }) => id)).toEqual(['fix-4-1-2', 'fix-4-2', 'fix-4-3', 'fix-4-4', 'fix-4-5']);
    expect(tasks[0]?.acceptance).toMatchObject([{ command: 'npm run check-0' }]);
    expect(tasks[4]?.acceptance).toHaveLength(3);
    expect(tasks[0]?.description).toContain('check-0 says so');
    expect(made.map(({ tasks: of }) => of[0])).toEqual([
      'fix-4-1-2',
      'fix-4-2',
      'fix-4-3',
      'fix-4-4',
      'fix-4-5',
      'fix-4-5',
      'fix-4-5',
    ]);
  });
});

describe('fewerTests', () => {
  const counted = (name: string, ran: number, skipped = 0): CheckRun => ({
    ...run(name, []),
    tests: { run: ran, failed: 0, skipped },
  });

  it('names checks that ran fewer tests than before, or are not run any more', () => {
    const before = testsOf([counted('unit', 10), counted('e2e', 3), run('lint', [])]);
    expect(fewerTests(before, [counted('unit', 10), counted('e2e', 4)])).toEqual([]);
    expect(fewerTests(before, [counted('unit', 8, 2)])).toEqual([
      { check: 'unit', before: { run: 10, failed: 0, skipped: 0 }, now: { run: 8, failed: 0, skipped: 2 } },
      { check: 'e2e', before: { run: 3, failed: 0, skipped: 0 } },
    ]);
  });
});
