import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unknownUnit } from '../src/units.ts';

test('a unit that is nearly right is answered with the right one', () => {
  const error = unknownUnit('secnd', ['minute', 'second'], '5 secnd');
  assert.equal(error.code, 'unknown-unit');
  assert.match(error.message, /"secnd" in "5 secnd", did you mean second\?$/);
});

test('where none is near, none is named', () => {
  assert.match(unknownUnit('parsec', ['m', 's'], '1 parsec').message, /"parsec" in "1 parsec"$/);
});
