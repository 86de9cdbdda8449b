import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffLines } from '../src/diff.ts';

test('one changed line in 200,000 is found without a table of all of them', () => {
  const lines = Array.from({ length: 200_000 }, (_, i) => `line ${i}`);
  const changed = lines.with(100_000, 'changed');
  const changes = diffLines(lines.join('\n'), changed.join('\n'));
  assert.equal(changes.length, 200_001);
  assert.deepEqual(
    changes.filter((change) => change.kind !== 'same'),
    [
      { kind: 'removed', line: 'line 100000' },
      { kind: 'added', line: 'changed' },
    ],
  );
});

test('what both ends have in common is not counted twice', () => {
  assert.deepEqual(diffLines('a\na\n', 'a\na\na\n').map((change) => change.kind).sort(), ['added', 'same', 'same']);
  assert.deepEqual(diffLines('a\nb\na\n', 'a\n').map((change) => change.kind).sort(), ['removed', 'removed', 'same']);
});
