import { describe, expect, test } from 'vitest';
import { replacedBy, undone } from '../../../src/shared/planner/successors.ts';

const task = (id: string, how: 'landed' | 'failed' | 'cancelled' | 'conflicted', successor?: string) => ({
  id,
  status: how === 'landed' || how === 'conflicted' ? ('complete' as const) : how,
  branch: how === 'landed' || how === 'conflicted' ? how : ('none' as const),
  ...(successor === undefined ? {} : { successor }),
});

describe('what a run has not done', () => {
  test('is what neither landed nor has a successor that did, however many there were between', () => {
    const tasks = [
      task('slug', 'failed', 'slug-2'),
      task('slug-2', 'conflicted', 'slug-3'),
      task('slug-3', 'landed'),
      task('wrap', 'cancelled', 'wrap-2'),
      task('wrap-2', 'failed'),
      task('table', 'landed'),
    ];
    expect(undone(tasks).map(({ id }) => id)).toEqual(['wrap', 'wrap-2']);
  });

  test('is told also of tasks that name each other, or one that is not there', () => {
    const tasks = [task('a', 'failed', 'b'), task('b', 'failed', 'a'), task('c', 'failed', 'gone')];
    expect(undone(tasks).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
  });
});

describe('which lost tasks a new one stands for', () => {
  const lost = [
    { id: 'slug', digest: 'd1', scope: ['src/slug.ts', 'test/slug.test.ts'] },
    { id: 'slug-2', scope: [] },
    { id: 'wrap-2', digest: 'd2', scope: [] },
  ];
  test.each<[string, { id: string; scope: string[]; replaces?: string[] }, string, string[]]>([
    ['those that it names, and no other', { id: 'slug-3', scope: [], replaces: ['wrap-2', 'nobody'] }, '', ['wrap-2']],
    ['none, when it says so', { id: 'slug-3', scope: [], replaces: [] }, '', []],
    ['that of the same words', { id: 'again', scope: [] }, 'd2', ['wrap-2']],
    ['that of the same files', { id: 'again', scope: ['test/slug.test.ts', 'src/slug.ts'] }, '', ['slug']],
    ['not that of some of its files', { id: 'again', scope: ['src/slug.ts'] }, '', []],
    ['those whose id it has with a number', { id: 'slug-3', scope: [] }, '', ['slug', 'slug-2']],
    ['not a sibling', { id: 'wrap-3', scope: [] }, '', []],
    ['as the demo counts', { id: 'slug-r2', scope: [] }, '', ['slug', 'slug-2']],
    ['not one of another name', { id: 'slugs', scope: [] }, '', []],
  ])('%s', (_, planned, digest, expected) => {
    expect(replacedBy(planned, digest, lost)).toEqual(expected);
  });
});
