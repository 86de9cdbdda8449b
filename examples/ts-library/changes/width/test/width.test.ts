import assert from 'node:assert/strict';
import { test } from 'node:test';
import { displayWidth, graphemes } from '../src/width.ts';

test('plain characters take one column, wide ones two', () => {
  assert.equal(displayWidth('abc'), 3);
  assert.equal(displayWidth('日本語'), 6);
  assert.equal(displayWidth('ｆｕｌｌ'), 8);
});

test('combining marks, joiners and control sequences take none', () => {
  assert.equal(displayWidth('e\u0301'), 1);
  assert.equal(displayWidth('\u001B[31mred\u001B[39m'), 3);
  assert.equal(displayWidth('a\u200Bb'), 2);
  assert.equal(displayWidth('a\nb'), 2);
});

test('an emoji takes two columns, however many code points it has', () => {
  assert.equal(displayWidth('👍'), 2);
  assert.equal(displayWidth('👩‍👩‍👧‍👦'), 2);
  assert.equal(displayWidth('🇩🇪'), 2);
  assert.equal(displayWidth('❤️'), 2);
});

test('graphemes are what a reader sees as one character', () => {
  assert.deepEqual(graphemes('e\u0301👩‍👧x'), ['e\u0301', '👩‍👧', 'x']);
  assert.deepEqual(graphemes('\u001B[1mok\u001B[22m'), ['o', 'k']);
  assert.deepEqual(graphemes(''), []);
});
