import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Mirror } from '../../../src/activities/git/contract.ts';
import { createTreeContents } from '../../../src/activities/git/tree-content.ts';
import { CommitSha } from '../../../src/shared/base/ids.ts';
import { temporaryFolder } from '../../support/repos.ts';

test('tells trees, blobs and submodules of a commit, and asks git once for each', async () => {
  const { dir, remove } = temporaryFolder();
  try {
    const git = (...argv: string[]) =>
      execFileSync('git', ['-c', 'user.name=A', '-c', 'user.email=a@b', ...argv], { cwd: dir });
    const commit = () => {
      git('add', '-A');
      git('update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(40)},sub/mo\tdule`);
      git('commit', '-qm', 'x');
      return CommitSha.parse(git('rev-parse', 'HEAD').toString().trim());
    };
    git('init', '-q');
    mkdirSync(join(dir, 'a', 'b'), { recursive: true });
    for (const [path, text] of [
      ['a/b/deep', 'deep'],
      ['line\nbreak', 'x'],
      ['ä', 'y'],
    ] as const)
      writeFileSync(join(dir, path), text);
    const first = commit();
    writeFileSync(join(dir, 'a', 'new'), 'new');
    const second = commit();
    let asked = 0;
    const run: Mirror['git'] = (argv) => {
      asked += 1;
      return Promise.resolve({ stdout: git(...argv), stderr: '', code: 0 });
    };
    const contentOf = createTreeContents(run);
    const names = (of: CommitSha) =>
      git('ls-tree', '-r', '-t', of)
        .toString()
        .split('\n')
        .flatMap((line) => /^\d+ (?:blob|tree) (\w+)/.exec(line)?.[1] ?? []);
    const content = await contentOf(first);
    for (const name of names(first)) expect(content.objects.has(name)).toBe(true);
    for (const name of names(second).filter((each) => !names(first).includes(each))) {
      expect(content.objects.has(name)).toBe(false);
    }
    expect([...content.submodules]).toEqual(['sub/mo\tdule']);
    await contentOf(first);
    expect(asked).toBe(1);
    const both = await contentOf(second);
    for (const name of [...names(first), ...names(second)]) expect(both.objects.has(name)).toBe(true);
    // Where few are remembered, they are those of the newest commit that was asked for.
    const few = createTreeContents(run, new Set(names(second)).size);
    await few(first);
    const { objects } = await few(second);
    for (const name of names(second)) expect(objects.has(name)).toBe(true);
    expect(names(first).filter((name) => !objects.has(name))).not.toEqual([]);
    await expect(contentOf(CommitSha.parse('2'.repeat(40)))).rejects.toThrow();
  } finally {
    remove();
  }
});
