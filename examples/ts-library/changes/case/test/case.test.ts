import assert from 'node:assert/strict';
import { test } from 'node:test';
import { camelCase, kebabCase, pascalCase, snakeCase, splitWords, titleCase } from '../src/case.ts';

test('words end at separators, at a change of case and at numbers', () => {
  assert.deepEqual(splitWords('HTTPServer2go'), ['http', 'server', '2', 'go']);
  assert.deepEqual(splitWords('  some_snake-and kebab '), ['some', 'snake', 'and', 'kebab']);
  assert.deepEqual(splitWords('größerÄnderung'), ['größer', 'änderung']);
  assert.deepEqual(splitWords('--'), []);
});

test('each case is made from the words', () => {
  assert.equal(camelCase('parse HTTP request'), 'parseHttpRequest');
  assert.equal(pascalCase('parse-http-request'), 'ParseHttpRequest');
  assert.equal(kebabCase('parseHTTPRequest'), 'parse-http-request');
  assert.equal(snakeCase('ParseHttpRequest'), 'parse_http_request');
  assert.equal(titleCase('parse_http_request'), 'Parse Http Request');
});

test('a case can be turned into another and back', () => {
  for (const name of ['alpha', 'alphaBeta', 'alphaBetaGamma']) {
    assert.equal(camelCase(snakeCase(name)), name);
    assert.equal(camelCase(kebabCase(pascalCase(name))), name);
  }
});

test('a text without words is empty in every case', () => {
  for (const convert of [camelCase, pascalCase, kebabCase, snakeCase, titleCase]) assert.equal(convert(' -_ '), '');
});
