import { describe, expect, it } from 'vitest';
import { type FileDiff, parseDiff, tamperEvidence } from '../../../src/shared/reconciler/tamper.ts';

const file = (path: string, removed: string[], added: string[], deleted = false): FileDiff => ({
  path,
  removed,
  added,
  deleted,
});
const task = (...files: FileDiff[]) => tamperEvidence(files, { strict: false });
const fix = (...files: FileDiff[]) => tamperEvidence(files, { strict: true });

describe('tamperEvidence', () => {
  it.each<[string, FileDiff]>([
    ['vitest', file('test/a.test.ts', ["  it('adds', () => {"], [])],
    ['node:test', file('test/a.test.mjs', ["test('adds', async () => {"], [])],
    ['it.each', file('a.spec.tsx', ["it.each([1, 2])('adds %i', (n) => {"], [])],
    ['pytest', file('tests/test_a.py', ['def test_adds():'], [])],
    ['a method of unittest', file('tests/test_a.py', ['    def test_adds(self):'], [])],
    ['go', file('a_test.go', ['func TestAdd(t *testing.T) {'], [])],
    ['rust, among its source', file('src/lib.rs', ['    #[test]', '    fn adds() {'], [])],
  ])('sees that a test of %s is gone', (_, diff) => {
    expect(task(diff)).toEqual([expect.stringContaining('1 fewer test is declared')]);
  });

  it.each<[string, FileDiff]>([
    ['moved to another file', file('test/b.test.ts', [], ["it('adds', () => {"])],
    ['renamed', file('test/a.test.ts', [], ["it('adds two numbers', () => {"])],
  ])('leaves a test alone that is %s', (_, diff) => {
    expect(task(file('test/a.test.ts', ["it('adds', () => {"], []), diff)).toEqual([]);
  });

  it.each<[string, string, string]>([
    ['it.skip', 'test/a.test.ts', "it.skip('adds', () => {"],
    ['only, which leaves out all others', 'test/a.test.ts', "it.only('adds', () => {"],
    ['xit', 'test/a.test.ts', "xit('adds', () => {"],
    ['an option', 'test/a.test.mjs', "test('adds', { skip: true }, () => {"],
    ['pytest', 'tests/test_a.py', '@pytest.mark.skip(reason="later")'],
    ['go', 'a_test.go', '\tt.Skip("later")'],
    ['rust', 'src/lib.rs', '    #[ignore]'],
  ])('sees a test that is skipped by %s', (_, path, line) => {
    const before = path.endsWith('.ts') ? ["it('adds', () => {"] : [];
    const evidence = task(file(path, before, [line]));
    expect(evidence).toContainEqual(expect.stringContaining('1 more test is skipped or left out'));
  });

  it.each<[string, FileDiff]>([
    ['a coverage threshold that is lower', file('vitest.config.ts', ['    lines: 90,'], ['    lines: 60,'])],
    ['fail_under', file('pyproject.toml', ['fail_under = 85'], ['fail_under = 10'])],
    [
      'more warnings',
      file('package.json', ['"lint": "eslint --max-warnings 0 ."'], ['"lint": "eslint --max-warnings 99 ."']),
    ],
    ['a compiler that is less strict', file('tsconfig.json', ['    "strict": true,'], ['    "strict": false,'])],
    ['strictness that is gone', file('tsconfig.json', ['    "noUncheckedIndexedAccess": true'], [])],
    ['no tests that pass', file('vitest.config.ts', [], ['    passWithNoTests: true,'])],
    ['a script that is gone', file('package.json', ['    "test": "vitest run",'], [])],
    [
      'a script that cannot fail',
      file('package.json', ['    "test": "vitest run"'], ['    "test": "vitest run || true"']),
    ],
    ['a script that does nothing', file('package.json', ['    "typecheck": "tsc"'], ['    "typecheck": "echo ok"'])],
  ])('sees %s', (_, diff) => {
    expect(task(diff)).toHaveLength(1);
  });

  it.each<[string, FileDiff]>([
    ['a threshold that is higher', file('vitest.config.ts', ['    lines: 60,'], ['    lines: 90,'])],
    [
      'the first real test script',
      file(
        'package.json',
        ['    "test": "echo \\"Error: no test specified\\" && exit 1"'],
        ['    "test": "vitest run"'],
      ),
    ],
    ['another runner', file('package.json', ['    "test": "mocha"'], ['    "test": "vitest run"'])],
    ['a version in package.json', file('package.json', ['  "version": "1.0.0",'], ['  "version": "1.0.1",'])],
    ['numbers of the program', file('src/layout.ts', ['const lines = 90;'], ['const lines = 60;'])],
    ['a call that only looks like a test', file('src/a.ts', ['if (pattern.test(text)) {'], [])],
    ['a suppression, which a task may need', file('src/a.ts', [], ['// @ts-expect-error: the types are wrong'])],
  ])('leaves %s alone', (_, diff) => {
    expect(task(diff)).toEqual([]);
  });

  it('looks closer at a fix: suppressions, deleted test files, any change of a check', () => {
    expect(fix(file('src/a.ts', [], ['// @ts-ignore']))).toEqual(['1 more finding is suppressed (src/a.ts)']);
    expect(fix(file('test/data/golden.txt', ['x'], [], true))).toEqual(['test/data/golden.txt is deleted']);
    expect(fix(file('package.json', ['    "test": "vitest run"'], ['    "test": "vitest run test/easy"']))).toEqual([
      'package.json: the script "test" is vitest run test/easy now, and was vitest run',
    ]);
  });
});

describe('parseDiff', () => {
  it('has what was added and removed by file, and not what only looks like it', () => {
    const text = [
      'diff --git a/a b.ts b/a b.ts',
      'index 1..2 100644',
      '--- a/a b.ts',
      '+++ b/a b.ts',
      '@@ -1,2 +1,2 @@',
      '--- removed',
      '+++ added',
      'diff --git a/gone.ts b/gone.ts',
      'deleted file mode 100644',
      '--- a/gone.ts',
      '+++ /dev/null',
      '@@ -1 +0,0 @@',
      '-x',
      '',
    ].join('\n');
    expect(parseDiff(text)).toEqual([
      { path: 'a b.ts', deleted: false, removed: ['-- removed'], added: ['++ added'] },
      { path: 'gone.ts', deleted: true, removed: ['x'], added: [] },
    ]);
  });
});
