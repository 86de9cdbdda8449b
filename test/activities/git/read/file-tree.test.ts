import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderTree } from '../../../../src/activities/git/read/file-tree.ts';
import { byteLength } from '../../../../src/activities/support/text.ts';

describe('renderTree', () => {
  it('shows all of a small repository, folders first', () => {
    expect(renderTree(['b.ts', 'src/a.ts', 'src/deep/x.ts', 'a.md'], 10_000)).toBe(
      ['src/', '  deep/', '    x.ts', '  a.ts', 'a.md', 'b.ts'].join('\n'),
    );
  });

  it('folds a huge folder and still opens its neighbours', () => {
    const vendor = Array.from({ length: 5_000 }, (_, i) => `vendor/lib-${i}.js`);
    const tree = renderTree([...vendor, 'src/a.ts', 'vendor-small/x.js'], 2_000);
    expect(tree).toBe(['src/', '  a.ts', 'vendor/ (5000 files, folded)', 'vendor-small/', '  x.js'].join('\n'));
  });

  it('cuts a root that is too long by itself, and says by how much', () => {
    const tree = renderTree(
      Array.from({ length: 1_000 }, (_, i) => `file-${String(i).padStart(4, '0')}`),
      500,
    );
    expect(tree).toMatch(/^file-0000\n[\s\S]*\[… 950 more lines\]$/);
  });

  it('keeps its bound for any repository, and loses no file of one that fits', () => {
    const component = fc.string({ minLength: 1, maxLength: 12 }).filter((name) => !name.includes('/'));
    const path = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
    fc.assert(
      fc.property(fc.uniqueArray(path, { maxLength: 60 }), fc.integer({ min: 100, max: 3_000 }), (paths, max) => {
        expect(byteLength(renderTree(paths, max))).toBeLessThanOrEqual(max + 40);
      }),
    );
  });

  it('escapes line breaks in names, so that a file cannot look like two', () => {
    expect(renderTree(['a\nb'], 1_000)).toBe('a\\nb');
  });
});
