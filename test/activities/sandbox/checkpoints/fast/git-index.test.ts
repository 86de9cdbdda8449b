import { execFileSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { digestOfPaths, readIndex, treesOf } from '../../../../../src/activities/sandbox/checkpoints/fast/git-index.ts';
import { temporaryFolder } from '../../../../support/repos.ts';

const removals: (() => void)[] = [];
afterEach(() => {
  for (const remove of removals.splice(0)) remove();
});

function repository(format: 'sha1' | 'sha256' = 'sha1') {
  const { dir, remove } = temporaryFolder();
  removals.push(remove);
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=A', '-c', 'user.email=a@b', ...argv], { cwd: dir })
      .toString()
      .trim();
  git('init', '-q', `--object-format=${format}`);
  return {
    git,
    put(path: string, text: string, kind: 'file' | 'program' | 'link' = 'file') {
      const file = join(dir, path);
      // A file in the way of a folder goes.
      const folders = dirname(path).split('/');
      for (let i = 1; i <= folders.length; i++) {
        const above = join(dir, ...folders.slice(0, i));
        if (lstatSync(above, { throwIfNoEntry: false })?.isDirectory() === false) rmSync(above);
      }
      mkdirSync(dirname(file), { recursive: true });
      rmSync(file, { recursive: true, force: true });
      if (kind === 'link') return symlinkSync(text, file);
      writeFileSync(file, text);
      if (kind === 'program') chmodSync(file, 0o755);
    },
    remove: (path: string) => rmSync(join(dir, path), { recursive: true, force: true }),
    index: () => readIndex(readFileSync(join(dir, '.git', 'index')), format === 'sha1' ? 20 : 32),
    readFile: () => readFileSync(join(dir, '.git', 'index')),
  };
}

describe.each(['sha1', 'sha256'] as const)('the trees of an index (%s)', (format) => {
  it('are those of git write-tree, whichever of them git knew before', () => {
    // Where directories and files of one beginning are in another order than their bare names.
    const path = fc.constantFrom('a', 'a-b', 'a.b', 'a0', 'a/b', 'a/b.c/d', 'a.b/c', 'a/é', 'b/c/d/e', 'z');
    const change = fc.record({
      path,
      text: fc.option(fc.constantFrom('1', '2', 'x'.repeat(100))),
      kind: fc.constantFrom('file' as const, 'program' as const, 'link' as const),
    });
    const step = fc.record({ changes: fc.array(change, { minLength: 1, maxLength: 4 }), known: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 4 }), (steps) => {
        const at = repository(format);
        at.git('read-tree', '--empty');
        for (const { changes, known } of steps) {
          for (const { path, text, kind } of changes) {
            if (text === null) at.remove(path);
            else at.put(path, text, kind);
          }
          at.git('add', '-A');
          const index = at.index();
          if (index === null) throw new Error('the index was not read');
          const trees = treesOf(index, format);
          if (trees === null) throw new Error('the index stands for no trees');
          const { root, made } = trees;
          expect(root).toBe(at.git('write-tree'));
          for (const name of made.keys()) expect(at.git('cat-file', '-t', name)).toBe('tree');
          // What write-tree has put into the index serves the next step, or is lost.
          if (!known) {
            at.git('read-tree', '--empty');
            at.git('add', '-A');
          }
        }
      }),
      { numRuns: 15 },
    );
  });
});

describe('an index that is not plain', () => {
  const start = () => {
    const at = repository();
    at.put('dir/file', 'text');
    at.git('add', '-A');
    return at;
  };

  it('is read when nothing is special in it', () => {
    expect(
      start()
        .index()
        ?.entries.map(({ path }) => path.toString()),
    ).toEqual(['dir/file']);
  });

  it.each<[string, (at: ReturnType<typeof start>) => void]>([
    ['of version 4', (at) => at.git('update-index', '--index-version', '4')],
    ['that is split', (at) => at.git('update-index', '--split-index')],
    [
      'with a file that is only meant to be added',
      (at) => {
        at.put('later', 'x');
        at.git('add', '-N', 'later');
      },
    ],
    [
      'with a conflict',
      (at) => {
        at.git('commit', '-qm', 'base');
        at.git('checkout', '-qb', 'other');
        at.put('dir/file', 'theirs');
        at.git('commit', '-qam', 'theirs');
        at.git('checkout', '-q', '-');
        at.put('dir/file', 'ours');
        at.git('commit', '-qam', 'ours');
        expect(() => at.git('merge', '-q', 'other')).toThrow('merge');
      },
    ],
  ])('is left to git: %s', (_what, change) => {
    const at = start();
    change(at);
    expect(at.index()).toBeNull();
  });

  it('is left to git when a byte of it is damaged, wherever that is', () => {
    const whole = start().readFile();
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        expect(readIndex(damaged, 20)).toBeNull();
      }),
    );
    expect(readIndex(whole.subarray(0, 40), 20)).toBeNull();
    expect(readIndex(Buffer.alloc(0), 20)).toBeNull();
  });
});

describe('the digest of some paths', () => {
  it('changes with what is in them, and with nothing else', () => {
    const at = repository();
    const digest = () => {
      at.git('add', '-A');
      const index = at.index();
      if (index === null) throw new Error('the index was not read');
      return digestOfPaths(index, ['package.json', 'vendor']);
    };
    at.put('package.json', '{}');
    at.put('vendor/a', '1');
    const first = digest();
    at.put('package.json.old', 'x');
    at.put('vendors/b', 'x');
    expect(digest()).toBe(first);
    at.put('vendor/a', '2');
    const second = digest();
    expect(second).not.toBe(first);
    at.put('vendor/a', '1', 'program');
    const third = digest();
    expect([first, second]).not.toContain(third);
    at.remove('package.json');
    expect([first, second, third]).not.toContain(digest());
  });

  it('knows a path however it is written, as git does', () => {
    const at = repository();
    at.put('req/a.txt', '1');
    at.put('package.json', '{}');
    at.git('add', '-A');
    const index = at.index();
    if (index === null) throw new Error('the index was not read');
    const same = (a: string, b: string) => expect(digestOfPaths(index, [a])).toBe(digestOfPaths(index, [b]));
    same('req/', 'req');
    same('./package.json', 'package.json');
    same('req//a.txt', 'req/a.txt');
    same('.', './');
    const all = ['req', 'package.json', '.', 'nothing'].map((path) => digestOfPaths(index, [path]));
    expect(new Set(all).size).toBe(4);
  });
});
