import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDuration, parseDuration } from '../src/duration.ts';
import { LineworkError } from '../src/errors.ts';

test('numbers with units are added up', () => {
  assert.equal(parseDuration('90s'), 90_000);
  assert.equal(parseDuration('1h 30m'), 5_400_000);
  assert.equal(parseDuration('1h30m15s'), 5_415_000);
  assert.equal(parseDuration(' 1.5d '), 129_600_000);
  assert.equal(parseDuration('-1m 30s'), -90_000);
});

test('what is no duration throws', () => {
  const thrown = (text: string): string | undefined => {
    try {
      parseDuration(text);
    } catch (error) {
      if (error instanceof LineworkError) return error.code;
      throw error;
    }
    return undefined;
  };
  assert.equal(thrown('5 parsec'), 'unknown-unit');
  for (const text of ['', '10', 'soon', '1h and 2m', '1.2.3s']) assert.equal(thrown(text), 'invalid-number', text);
});

test('a duration is written without its zeros', () => {
  assert.equal(formatDuration(5_400_000), '1h 30m');
  assert.equal(formatDuration(0), '0s');
  assert.equal(formatDuration(-61_001), '-1m 1s 1ms');
  assert.throws(() => formatDuration(Number.NaN), LineworkError);
});

test('what was written is read as the same', () => {
  for (const ms of [1, 999, 60_000, 86_399_999, 123_456_789, -5_000]) assert.equal(parseDuration(formatDuration(ms)), ms);
});
