import assert from 'node:assert/strict';
import { test } from 'node:test';
import { slugify } from '../src/slug.ts';

test('words are joined in lower case, punctuation is dropped', () => {
  assert.equal(slugify('  Hello, World!  '), 'hello-world');
  assert.equal(slugify("Don't panic"), 'dont-panic');
  assert.equal(slugify('R&D'), 'r-and-d');
});

test('accents are dropped and ligatures spelled out', () => {
  assert.equal(slugify('Crème brûlée'), 'creme-brulee');
  assert.equal(slugify('Straße nach Łódź'), 'strasse-nach-lodz');
  assert.equal(slugify('日本 2024'), '2024');
});

test('a slug is cut after a word', () => {
  assert.equal(slugify('one two three', { maxLength: 9 }), 'one-two');
  assert.equal(slugify('one two three', { maxLength: 7 }), 'one-two');
  assert.equal(slugify('incomprehensible', { maxLength: 5 }), 'incom');
});

test('the separator can be chosen, and a slug of a slug is itself', () => {
  assert.equal(slugify('a b c', { separator: '_' }), 'a_b_c');
  for (const text of ['Hello, World!', 'Straße', '--a--']) assert.equal(slugify(slugify(text)), slugify(text));
});
