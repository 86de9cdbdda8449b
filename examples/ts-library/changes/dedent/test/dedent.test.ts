import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dedent, indent } from '../src/dedent.ts';

test('the common margin goes, what is deeper stays', () => {
  assert.equal(
    dedent(`
      one
        two

      three
    `),
    'one\n  two\n\nthree',
  );
});

test('tabs and spaces are only common where they are the same', () => {
  assert.equal(dedent('\t\ta\n\t b'), '\ta\n b');
  assert.equal(dedent('  a\n\tb'), '  a\n\tb');
});

test('a text without a margin is as before', () => {
  assert.equal(dedent('a\n  b'), 'a\n  b');
  assert.equal(dedent(''), '');
});

test('indent leaves empty lines empty, and dedent takes it back', () => {
  assert.equal(indent('a\n\nb', '> '), '> a\n\n> b');
  assert.equal(indent('price', '$& '), '$& price');
  const text = 'a\n  b\n\nc';
  assert.equal(dedent(indent(text, '    ')), text);
});
