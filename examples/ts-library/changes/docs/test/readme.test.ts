import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as linework from 'linework';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

test('the README names every export', () => {
  for (const name of Object.keys(linework)) assert.match(readme, new RegExp(`\`${name}\\b`), name);
});

test('the example in the README prints what it says', () => {
  const printed = linework.table([['src', linework.plural(2, 'file'), linework.formatBytes(1536)]], {
    align: ['left', 'right', 'right'],
  });
  assert.ok(readme.includes(`// ${printed}\n`));
});
