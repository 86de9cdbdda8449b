import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GuardedFile, linesLost } from '../../../src/shared/merge-queue/guard.ts';

const text = (...lines: string[]): string => lines.map((line) => `${line}\n`).join('');
const file = (since: string | undefined, before: string | undefined, after: string | undefined, path = 'a.ts') =>
  ({ path, since, before, after }) satisfies GuardedFile;

describe('lines that others landed are lost', () => {
  test.each<[string, GuardedFile[], string[]]>([
    ['when the resolution leaves out what they added', [file('one', 'one\ntwo', 'one\nmine')], ['two']],
    ['when the resolution deletes their file', [file(undefined, text('alpha', 'beta'), undefined)], ['alpha', 'beta']],
    ['when a line of theirs is rewritten', [file('x = 1', 'x = 200', 'x = 300')], ['x = 200']],
    ['when one of two equal lines of theirs is gone', [file('', text('same', 'same'), text('same'))], ['same']],
    [
      'when their line is only in a file that had it before',
      [file('', 'call()', ''), file('', '', 'else', 'b.ts')],
      ['call()'],
    ],
  ])('%s', (_, files, lines) => {
    expect(linesLost(files)).toEqual([{ path: 'a.ts', lostLines: lines }]);
  });
});

describe('nothing is lost', () => {
  test.each<[string, GuardedFile[]]>([
    ['when the work removes what was there when it began', [file('one\ntwo', 'one\ntwo\nthree', 'three\none')]],
    ['when both sides are kept in another order', [file('one', 'one\ntheirs', 'mine\ntheirs\none')]],
    ['when their line is indented anew', [file('', 'call(a, b)', 'if (x) {\n\tcall(a,  b)\n}')]],
    ['when their line moves to another file', [file('', 'call()', ''), file('', '', 'call()', 'b.ts')]],
    ['when brackets, blanks and bare syntax go', [file('', '{\n}\n\n  else {\nreturn;\n});', 'mine')]],
    ['when a line of the start goes that they had doubled', [file('same', 'same\nsame', 'same')]],
    ['when others touched other files only', [file('one', 'one', '')]],
  ])('%s', (_, files) => {
    expect(linesLost(files)).toEqual([]);
  });
});

test('a line is told as often as it is lost, where several are the same', () => {
  const before = text('twice', 'kept', 'twice', 'twice');
  expect(linesLost([file('', before, text('kept', 'twice'))])).toEqual([
    { path: 'a.ts', lostLines: ['twice', 'twice'] },
  ]);
});

const LINE = fc.constantFrom('alpha', 'beta', 'gamma', 'delta', '  alpha', '}');
const LINES = fc.array(LINE, { maxLength: 12 });

test('work that keeps all that others added loses nothing, whatever it does to what it began from', () => {
  fc.assert(
    fc.property(
      LINES,
      LINES,
      LINES,
      fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
      (since, others, own, keep) => {
        const after = [...since.filter((_, i) => keep[i] ?? false), ...own, ...others];
        expect(linesLost([file(text(...since), text(...since, ...others), text(...after))])).toEqual([]);
      },
    ),
  );
});

test('no more lines are told than others added, and each is one that stood on the branch', () => {
  fc.assert(
    fc.property(LINES, LINES, LINES, (since, others, after) => {
      const before = [...others, ...since];
      const lost = linesLost([file(text(...since), text(...before), text(...after))]).flatMap(
        ({ lostLines: lines }) => lines,
      );
      expect(lost.length).toBeLessThanOrEqual(others.length);
      for (const line of lost) expect(before.map((each) => each.trim())).toContain(line);
    }),
  );
});
