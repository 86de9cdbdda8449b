import { describe, expect, it } from 'vitest';
import { type FileDiff, parseDiff, tamperEvidence } from '../../../src/shared/reconciler/tamper.ts';

/** A change of a whole file, as text. */
function change(path: string, before: string, after: string): FileDiff {
  const lines = (text: string): string[] => text.split('\n');
  const whole = { before: lines(before), after: lines(after) };
  return { path, deleted: false, removed: whole.before, added: whole.after, whole };
}
const evidence = (...files: FileDiff[]) => tamperEvidence(files, { strict: false });

const TS = `import { add } from '../src/add.ts';

/* Adds. */
describe('add', () => {
  it('adds', async () => {
    const sum = await add(1, 2);
    expect(sum).toBe(3);
  });

  it.each([
    [1, 2],
    [2, 3],
  ])('should add one to %i', (one, two) => {
    expect(add(one, 1)).toBe(two);
  });
});
`;
const PY = `def test_adds():
    total = add(1, 2)
    assert total == 3

def test_fails():
    with pytest.raises(ValueError):
        add(None, 1)
`;
const GO = `func TestAdd(t *testing.T) {
\tif got := Add(1, 2); got != 3 {
\t\tt.Fatalf("got %d", got)
\t}
}
`;
const RUST = `pub fn add(a: i32, b: i32) -> i32 {
    a + b
}

#[test]
fn adds() {
    assert_eq!(add(1, 2), 3);
}
`;

describe('tests that assert nothing any more', () => {
  it.each<[string, string, string, string]>([
    ['an assertion that is gone', 'test/a.test.ts', TS, TS.replace('    expect(sum).toBe(3);\n', '')],
    ['one of a table', 'test/a.test.ts', TS, TS.replace('expect(add(one, 1)).toBe(two)', 'add(one, 1)')],
    ['one about literals', 'test/a.test.ts', TS, TS.replace('expect(sum).toBe(3)', 'expect(true).toBe(true)')],
    ['one about the same number', 'test/a.test.ts', TS, TS.replace('expect(sum).toBe(3)', 'expect(1).toEqual(1)')],
    ['one that is a comment', 'test/a.test.ts', TS, TS.replace('    expect(sum)', '    // expect(sum)')],
    [
      'one in a block of comment',
      'test/a.test.ts',
      TS,
      TS.replace('    expect(sum).toBe(3);', '    /*\n    expect(sum).toBe(3);\n    */'),
    ],
    ['a return before it', 'test/a.test.ts', TS, TS.replace('    const sum', '    return;\n    const sum')],
    ['an empty body', 'test/a.test.ts', TS, TS.replace(/ {4}const sum[\s\S]*?toBe\(3\);\n/, '')],
    [
      'a helper of the file that does not assert',
      'test/a.test.ts',
      TS,
      `${TS.replace('expect(sum).toBe(3)', 'accept(sum)')}\nfunction accept(sum: number): number {\n  return sum;\n}\n`,
    ],
    ['a line of log', 'test/a.test.ts', TS, TS.replace('expect(sum).toBe(3)', 'console.log(sum)')],
    ['python', 'tests/test_a.py', PY, PY.replace('    assert total == 3\n', '    pass\n')],
    ['python that is true', 'tests/test_a.py', PY, PY.replace('assert total == 3', 'assert True')],
    [
      'python that raises nothing',
      'tests/test_a.py',
      PY,
      PY.replace('    with pytest.raises(ValueError):\n        add(None, 1)\n', '    pass\n'),
    ],
    ['go', 'add_test.go', GO, GO.replace('\t\tt.Fatalf("got %d", got)\n', '')],
    ['rust', 'src/lib.rs', RUST, RUST.replace('assert_eq!(add(1, 2), 3)', 'add(1, 2)')],
    ['rust that is true', 'src/lib.rs', RUST, RUST.replace('assert_eq!(add(1, 2), 3)', 'assert!(true)')],
  ])('are seen: %s', (_, path, before, after) => {
    expect(after).not.toBe(before);
    expect(evidence(change(path, before, after))).toEqual([`1 test asserts nothing any more (${path})`]);
  });

  it('are counted, beside those that are gone', () => {
    const three = "test('a', () => {\n  expect(f()).toBe(1);\n});\n".repeat(3);
    const two = "test('a', () => {\n  f();\n});\n".repeat(2);
    expect(evidence(change('test/a.test.ts', three, two))).toEqual([
      '1 fewer test is declared (test/a.test.ts)',
      '2 tests assert nothing any more (test/a.test.ts)',
    ]);
  });

  it.each<[string, string, string]>([
    ['tests that are comments', TS, TS.replace('  it.each(', '  // it.each(').replace("  it('adds'", "  // it('adds'")],
    ['tests in a block of comment', TS, TS.replace('describe(', '/*\ndescribe(').concat('*/\n')],
    ['a file that is emptied', TS, ''],
  ])('or are none: %s', (_, before, after) => {
    expect(evidence(change('test/a.test.ts', before, after))[0]).toBe('2 fewer tests are declared (test/a.test.ts)');
  });

  it('sees that a file of cases is emptied, and not deleted', () => {
    const cases = change('test/cases/parse.txt', '1 + 1\n2\n', '');
    expect(evidence(cases)).toEqual(['test/cases/parse.txt is emptied']);
    expect(evidence({ ...cases, deleted: true })).toEqual([]);
  });
});

describe('what ordinary work does to tests is left alone', () => {
  const helper = 'function isThree(sum: number): void {\n  expect(sum).toBe(3);\n}\n';
  const moved = TS.replace("it('adds', async", "it('adds two numbers', async");
  it.each<[string, FileDiff[]]>([
    [
      'a helper of the file asserts',
      [change('test/a.test.ts', TS, `${helper}${TS.replace('expect(sum).toBe(3)', 'isThree(sum)')}`)],
    ],
    [
      'a helper calls one that asserts',
      [
        change(
          'test/a.test.ts',
          TS,
          `${helper}const check = (sum: number) => isThree(sum);\n${TS.replace('expect(sum).toBe(3)', 'check(sum)')}`,
        ),
      ],
    ],
    [
      'a helper of another file may',
      [change('test/a.test.ts', TS, TS.replace('expect(sum).toBe(3)', 'behavesLikeASum(sum)'))],
    ],
    ['renamed', [change('test/a.test.ts', TS, moved)]],
    ['moved to another file', [change('test/a.test.ts', TS, ''), change('test/b.test.ts', '', moved)]],
    [
      'fewer assertions, and one is left',
      [change('test/a.test.ts', TS.replace('toBe(3);', 'toBe(3);\n    expect(sum).toBeGreaterThan(2);'), TS)],
    ],
    [
      'more tests, of which one asserts nothing',
      [change('test/a.test.ts', TS, `${TS}\nit('does not crash', () => {\n  add(0, 0);\n});\n`)],
    ],
    [
      'formatted over several lines',
      [
        change(
          'test/a.test.ts',
          TS,
          TS.replace(
            "it('adds', async () => {\n    const sum = await add(1, 2);\n    expect(sum).toBe(3);\n  });",
            "it(\n    'adds',\n    async () => {\n      const sum = await add(1, 2);\n      expect(sum).toBe(3);\n    },\n    60_000,\n  );",
          ),
        ),
      ],
    ],
    ['an indentation of tabs', [change('test/a.test.ts', TS, TS.replaceAll('  ', '\t'))]],
    [
      'two become a table',
      [
        change(
          'tests/test_a.py',
          PY,
          `@pytest.mark.parametrize("a", [1, 2])\ndef test_adds(a):\n    assert add(a, 2)\n\n${PY.slice(PY.indexOf('def test_fails'))}`,
        ),
      ],
    ],
    [
      'another way to assert',
      [change('test/a.test.ts', TS, TS.replace('expect(sum).toBe(3)', 'assert.equal(sum, 3)'))],
    ],
    ['no test before and none after', [change('src/lib.rs', 'fn a() {}\n', 'fn b() {}\n')]],
  ])('%s', (_, files) => {
    expect(evidence(...files)).toEqual([]);
  });
});

it('a diff with all of its context has the whole file, before and after', () => {
  const diff = 'diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n \n';
  expect(parseDiff(diff, { whole: true })[0]?.whole).toEqual({ before: ['one', 'two', ''], after: ['one', '2', ''] });
  expect(parseDiff(diff)[0]).toEqual({ path: 'a.txt', deleted: false, added: ['2'], removed: ['two'] });
});
