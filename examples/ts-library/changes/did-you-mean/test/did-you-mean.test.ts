import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBytes } from '../src/bytes.ts';
import { parseDuration } from '../src/duration.ts';

test('a unit that is nearly right is answered with the right one', () => {
  assert.throws(() => parseBytes('3 MiBs'), /"MiBs" in "3 MiBs", did you mean MiB\?/);
  assert.throws(() => parseDuration('2hh'), /did you mean h\?/);
});

test('a unit that is like none is only said', () => {
  assert.throws(() => parseDuration('5 parsec'), /the unit is not known: "parsec" in "5 parsec"$/);
});
