import assert from 'node:assert/strict';
import { test } from 'node:test';
import { table } from '../src/table.ts';

test('columns are as wide as their widest cell', () => {
  assert.equal(
    table([
      ['a', 'bb', 'c'],
      ['aaa', 'b', 'c'],
    ]),
    'a    bb  c\naaa  b   c',
  );
});

test('a header stands above a line of dashes', () => {
  assert.equal(table([['x', '1']], { header: ['name', 'n'] }), 'name  n\n----  -\nx     1');
});

test('cells are aligned by column', () => {
  assert.equal(table([['1', 'a'], ['100', 'abc']], { align: ['right', 'center'] }), '  1   a\n100  abc');
});

test('wide characters take the room that they show', () => {
  assert.equal(table([['日本', '|'], ['abcd', '|']], { gap: 1 }), '日本 |\nabcd |');
});

test('short rows and no rows are fine', () => {
  assert.equal(table([['a', 'b'], ['c']]), 'a  b\nc');
  assert.equal(table([]), '');
});
