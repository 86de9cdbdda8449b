import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES, LineworkError } from '../src/errors.ts';

test('an error says its code and what was wrong', () => {
  const error = new LineworkError('unknown-unit', '"parsec"');
  assert.equal(error.code, 'unknown-unit');
  assert.equal(error.message, 'the unit is not known: "parsec"');
});

test('the codes are in alphabetical order', () => {
  const codes = Object.keys(ERROR_CODES);
  assert.deepEqual(codes, [...codes].sort());
});
