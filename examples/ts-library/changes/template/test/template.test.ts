import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineworkError } from '../src/errors.ts';
import { render } from '../src/template.ts';

test('names are replaced by their values, also inside objects and lists', () => {
  assert.equal(render('Hello {name}!', { name: 'Ada' }), 'Hello Ada!');
  assert.equal(render('{a.b}-{ list.1 }', { a: { b: 0 }, list: ['x', 'y'] }), '0-y');
});

test('doubled braces stand for themselves', () => {
  assert.equal(render('{{name}} is {name}', { name: 1 }), '{name} is 1');
});

test('a value is not looked at again', () => {
  assert.equal(render('{a}', { a: '{b}', b: 'no' }), '{b}');
});

test('a missing value throws with its name', () => {
  for (const template of ['{nobody}', '{a.b}', '{toString}']) {
    assert.throws(
      () => render(template, { a: {} }),
      (error) => error instanceof LineworkError && error.code === 'missing-value' && error.message.includes(template),
    );
  }
});
