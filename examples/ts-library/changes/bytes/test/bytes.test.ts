import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, parseBytes } from '../src/bytes.ts';
import { LineworkError } from '../src/errors.ts';

test('decimal and binary units are told apart, whatever their case', () => {
  assert.equal(parseBytes('1.5 KiB'), 1536);
  assert.equal(parseBytes('1.5kb'), 1500);
  assert.equal(parseBytes('2GIB'), 2 * 1024 ** 3);
  assert.equal(parseBytes('42'), 42);
});

test('what is no size throws', () => {
  assert.throws(() => parseBytes('1 XB'), (error) => error instanceof LineworkError && error.code === 'unknown-unit');
  for (const text of ['', 'KiB', '-1', '1 2']) {
    assert.throws(() => parseBytes(text), (error) => error instanceof LineworkError && error.code === 'invalid-number', text);
  }
});

test('a size is written with the largest unit that fits', () => {
  assert.equal(formatBytes(0), '0 B');
  assert.equal(formatBytes(1023), '1023 B');
  assert.equal(formatBytes(1536), '1.5 KiB');
  assert.equal(formatBytes(1024 ** 2 - 1), '1 MiB');
  assert.equal(formatBytes(5 * 1024 ** 5), '5120 TiB');
  assert.throws(() => formatBytes(-1), LineworkError);
});
