import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineworkError } from '../src/errors.ts';
import { matches } from '../src/glob.ts';

const TABLE: [pattern: string, yes: string[], no: string[]][] = [
  ['*.ts', ['a.ts', '.ts'], ['a.js', 'src/a.ts', 'a.tsx']],
  ['src/**/*.ts', ['src/a.ts', 'src/x/y/a.ts'], ['lib/a.ts', 'src/a.js']],
  ['**', ['a', 'a/b'], []],
  ['src/**', ['src/a', 'src/a/b'], ['srcs/a']],
  ['file?.md', ['file1.md', 'file😀.md'], ['file.md', 'file/.md']],
  ['[a-c].txt', ['b.txt'], ['d.txt']],
  ['[!a-c].txt', ['d.txt'], ['b.txt', '/.txt']],
  ['*.{js,ts}', ['a.js', 'a.ts'], ['a.css']],
  ['a+b(c).$', ['a+b(c).$'], ['aab(c).$']],
];

for (const [pattern, yes, no] of TABLE) {
  test(`${pattern} matches ${yes.join(' ')}, not ${no.join(' ') || 'more'}`, () => {
    for (const path of yes) assert.ok(matches(pattern, path), path);
    for (const path of no) assert.ok(!matches(pattern, path), path);
  });
}

test('a bracket or brace that is not closed throws', () => {
  for (const pattern of ['[abc', '{a,b', '[']) {
    assert.throws(
      () => matches(pattern, 'a'),
      (error) => error instanceof LineworkError && error.code === 'invalid-pattern' && error.message.includes(pattern),
    );
  }
});
