import { expect, test } from 'vitest';
import { mergeConflicts, sortedUnion } from '../../../examples/scripted-model/conflicts.ts';

const FILE = ['a', '<<<<<<< ours', 'd', '||||||| base', 'x', '=======', 'c', 'd', '>>>>>>> theirs', 'z', ''].join('\n');

test('a conflict becomes what the merge says; what is around it stays', () => {
  expect(mergeConflicts(FILE, sortedUnion)).toBe('a\nc\nd\nz\n');
  expect(mergeConflicts(FILE, (ours) => ours)).toBe('a\nd\nz\n');
  expect(mergeConflicts(FILE.replace('||||||| base\nx\n', ''), sortedUnion)).toBe('a\nc\nd\nz\n');
});

test('each conflict of a file is merged on its own', () => {
  const merged = mergeConflicts(`${FILE}${FILE}`, (ours, theirs) => [...theirs, '-', ...ours]);
  expect(merged).toBe('a\nc\nd\n-\nd\nz\na\nc\nd\n-\nd\nz\n');
});

test('a text without conflicts is as before', () => {
  expect(mergeConflicts('=======\n>>>>>>> quoted\n', sortedUnion)).toBe('=======\n>>>>>>> quoted\n');
});
