import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinWords, ordinal, plural } from '../src/words.ts';

test('a list has commas, and a conjunction before its last item', () => {
  assert.equal(joinWords([]), '');
  assert.equal(joinWords(['a']), 'a');
  assert.equal(joinWords(['a', 'b']), 'a and b');
  assert.equal(joinWords(['a', 'b', 'c'], { conjunction: 'or' }), 'a, b or c');
});

test('a noun follows its count', () => {
  assert.equal(plural(1, 'file'), '1 file');
  assert.equal(plural(0, 'file'), '0 files');
  assert.equal(plural(2, 'box'), '2 boxes');
  assert.equal(plural(3, 'query'), '3 queries');
  assert.equal(plural(3, 'day'), '3 days');
  assert.equal(plural(2, 'child', 'children'), '2 children');
});

test('ordinals have the endings of English', () => {
  const numbers = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111];
  assert.deepEqual(numbers.map(ordinal), ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '102nd', '111th']);
});
