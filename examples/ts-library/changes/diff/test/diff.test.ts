import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffLines, unified } from '../src/diff.ts';

const numbers = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, i) => `${from + i}\n`).join('');

test('the script has what stayed, what went and what came, in order', () => {
  assert.deepEqual(diffLines('a\nb\nc\n', 'a\nx\nc\nd\n'), [
    { kind: 'same', line: 'a' },
    { kind: 'removed', line: 'b' },
    { kind: 'added', line: 'x' },
    { kind: 'same', line: 'c' },
    { kind: 'added', line: 'd' },
  ]);
});

test('applied to a, the script gives b, and it is a shortest one', () => {
  const [a, b] = ['a\nb\nc\na\nb\nb\na\n', 'c\nb\na\nb\na\nc\n'];
  const changes = diffLines(a, b);
  const side = (without: string): string =>
    changes.filter((change) => change.kind !== without).map((change) => `${change.line}\n`).join('');
  assert.equal(side('added'), a);
  assert.equal(side('removed'), b);
  assert.equal(changes.filter((change) => change.kind !== 'same').length, 5);
});

test('unified shows three lines of context and the ranges of both sides', () => {
  assert.equal(
    unified(numbers(1, 9), numbers(1, 9).replace('5\n', 'five\n')),
    '@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8',
  );
});

test('changes that are far apart are hunks of their own', () => {
  const changed = numbers(1, 20).replace('2\n', 'two\n').replace('19\n', '');
  assert.equal(
    unified(numbers(1, 20), changed, { context: 1 }),
    '@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n@@ -18,3 +18,2 @@\n 18\n-19\n 20',
  );
});

test('equal texts have no difference; an empty one differs by all lines', () => {
  assert.equal(unified('a\n', 'a\n'), '');
  assert.equal(unified('', 'a\nb\n'), '@@ -0,0 +1,2 @@\n+a\n+b');
});
