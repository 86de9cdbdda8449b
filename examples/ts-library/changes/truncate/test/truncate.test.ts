import assert from 'node:assert/strict';
import { test } from 'node:test';
import { truncate } from '../src/truncate.ts';
import { displayWidth } from '../src/width.ts';

test('a text that fits is as before', () => {
  assert.equal(truncate('exactly', 7), 'exactly');
  assert.equal(truncate('', 0), '');
});

test('a longer one is cut where asked', () => {
  assert.equal(truncate('abcdefghij', 5), 'abcd…');
  assert.equal(truncate('abcdefghij', 5, { position: 'start' }), '…ghij');
  assert.equal(truncate('abcdefghij', 6, { position: 'middle' }), 'abc…ij');
  assert.equal(truncate('abcdefghij', 6, { ellipsis: '...' }), 'abc...');
});

test('characters are never cut in two', () => {
  assert.equal(truncate('日本語テキスト', 6), '日本…');
  assert.equal(truncate('👩‍👩‍👧‍👦👍👍', 4), '👩‍👩‍👧‍👦…');
  assert.equal(truncate('e\u0301e\u0301e\u0301', 2), 'e\u0301…');
});

test('the result is never wider than asked for', () => {
  for (const position of ['start', 'middle', 'end'] as const) {
    for (let width = 0; width < 12; width++) {
      assert.ok(displayWidth(truncate('wide 日本語 and 👍 text', width, { position })) <= width);
    }
  }
});
