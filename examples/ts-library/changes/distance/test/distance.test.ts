import assert from 'node:assert/strict';
import { test } from 'node:test';
import { distance as oracle } from 'fastest-levenshtein';
import { closest, levenshtein } from '../src/distance.ts';

test('known distances', () => {
  assert.equal(levenshtein('kitten', 'sitting'), 3);
  assert.equal(levenshtein('', 'abc'), 3);
  assert.equal(levenshtein('same', 'same'), 0);
});

test('the distance is that of another implementation, for many pairs', () => {
  let state = 7;
  const random = (below: number): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  const word = (): string => Array.from({ length: random(12) }, () => 'abcd'[random(4)]).join('');
  for (let i = 0; i < 2_000; i++) {
    const [a, b] = [word(), word()];
    assert.equal(levenshtein(a, b), oracle(a, b), `${a} → ${b}`);
  }
});

test('closest finds what was meant, and nothing where nothing is near', () => {
  assert.equal(closest('minuts', ['seconds', 'minutes', 'hours']), 'minutes');
  assert.equal(closest('parsec', ['s', 'm', 'h']), undefined);
  assert.equal(closest('ab', ['ac', 'ad']), 'ac');
  assert.equal(closest('x', []), undefined);
});
