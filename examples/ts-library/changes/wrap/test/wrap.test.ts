import assert from 'node:assert/strict';
import { test } from 'node:test';
import { displayWidth } from '../src/width.ts';
import { wrap } from '../src/wrap.ts';

test('lines break at white space', () => {
  assert.equal(wrap('the quick brown fox', 10), 'the quick\nbrown fox');
  assert.equal(wrap('short', 10), 'short');
});

test('line breaks and indents are kept', () => {
  assert.equal(wrap('one two\n\n  three four', 9), 'one two\n\n  three\n  four');
});

test('a word that is too long is cut', () => {
  assert.equal(wrap('ab incomprehensible', 6), 'ab\nincomp\nrehens\nible');
});

test('no line is wider than asked for, also in wide characters', () => {
  const text = '日本語のテキスト and some 👩‍👩‍👧‍👦 words, e\u0301te\u0301';
  for (let width = 2; width < 30; width++) {
    for (const line of wrap(text, width).split('\n')) assert.ok(displayWidth(line) <= width, `${width}: "${line}"`);
  }
});

test('nothing but white space is lost', () => {
  const text = 'a few words of various lengths';
  for (let width = 1; width < 20; width++) {
    assert.equal(wrap(text, width).replace(/\s/g, ''), text.replace(/\s/g, ''));
  }
  assert.throws(() => wrap(text, 0), RangeError);
});
