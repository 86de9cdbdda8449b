import { writeFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Mirror } from '../../../src/activities/git/contract.ts';
import { mirrorOf } from '../../support/merges.ts';
import { bareRepository, gitIn, type TestRepository, temporaryFolder } from '../../support/repos.ts';

const KEEP = 'refs/checkpoints/sandbox-1';

let folder: ReturnType<typeof temporaryFolder>;
let sandbox: TestRepository;
let mirror: Mirror;
let base: string;
beforeEach(async () => {
  folder = temporaryFolder();
  const remote = bareRepository(join(folder.dir, 'origin.git'), { 'a.txt': 'a\n', 'big.txt': 'line\n'.repeat(5_000) });
  base = remote.tip();
  mirror = await mirrorOf(folder.dir, remote.dir);
  sandbox = bareRepository(join(folder.dir, 'scratch.git'), null);
  gitIn(sandbox.dir, ['fetch', '--quiet', remote.dir, 'main:main']);
});
afterEach(() => folder.remove());

function bundle(...revs: string[]): Buffer {
  return Buffer.from(
    gitIn(sandbox.dir, ['bundle', 'create', '--quiet', '-', ...revs], { encoding: 'latin1', raw: true }),
    'latin1',
  );
}

const has = (object: string): boolean => {
  try {
    return gitIn(mirror.dir, ['cat-file', '-t', object]) !== '';
  } catch {
    return false;
  }
};

test('a bundle on top of what the mirror has is taken, and kept under its ref', async () => {
  const commit = sandbox.commit({ 'big.txt': `${'line\n'.repeat(5_000)}more\n`, 'b.txt': 'b\n' });
  await mirror.importBundle(bundle('refs/heads/main', `^${base}`), commit, KEEP);
  expect(gitIn(mirror.dir, ['rev-parse', KEEP])).toBe(commit);
  expect(await mirror.changedFiles(base, commit)).toEqual(['b.txt', 'big.txt']);
  // Twice is no harm: an activity is retried.
  await mirror.importBundle(bundle('refs/heads/main', `^${base}`), commit, KEEP);
});

test('a small bundle makes no pack, a large one makes one', async () => {
  const packs = (): number => Number(/packs: (\d+)/.exec(gitIn(mirror.dir, ['count-objects', '-v']))?.[1]);
  const before = packs();
  const small = sandbox.commit({ s: 's' });
  await mirror.importBundle(bundle('refs/heads/main', `^${base}`), small, KEEP);
  expect(packs()).toBe(before);
  const many = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`many/${i}`, `${i}`]));
  const large = sandbox.commit(many);
  await mirror.importBundle(bundle('refs/heads/main', `^${small}`), large, KEEP);
  expect(packs()).toBe(before + 1);
  expect(gitIn(mirror.dir, ['rev-parse', KEEP])).toBe(large);
});

test('another commit than the bundle carries is refused', async () => {
  const commit = sandbox.commit({ b: 'b' });
  const data = bundle('refs/heads/main', `^${base}`);
  await expect(mirror.importBundle(data, base, KEEP)).rejects.toThrow(/does not carry this commit/);
  expect(has(commit)).toBe(false);
});

test('a bundle on top of what the mirror has not is refused', async () => {
  const first = sandbox.commit({ b: 'b' });
  const second = sandbox.commit({ c: 'c' });
  const data = bundle('refs/heads/main', `^${first}`);
  await expect(mirror.importBundle(data, second, KEEP)).rejects.toThrow(new RegExp(`builds on ${first}`));
});

test('one that claims to need less than it does is refused', async () => {
  const first = sandbox.commit({ b: 'b' });
  const second = sandbox.commit({ c: 'c' });
  const honest = bundle('refs/heads/main', `^${first}`).toString('latin1');
  const lying = Buffer.from(honest.replace(/^-[^\n]*\n/m, ''), 'latin1');
  await expect(mirror.importBundle(lying, second, KEEP)).rejects.toThrow();
  expect(() => gitIn(mirror.dir, ['rev-parse', '--verify', '--quiet', KEEP])).toThrow();
});

test.each([
  ['nothing', () => Buffer.alloc(0)],
  ['text', () => Buffer.from('hello\n\nPACK')],
  ['a header without a pack', (data: Buffer) => data.subarray(0, data.indexOf('\n\n') + 2)],
  ['one that is cut off', (data: Buffer) => data.subarray(0, data.length - 30)],
  [
    'one with a flipped bit',
    (data: Buffer) => {
      const damaged = Buffer.from(data);
      damaged[data.length - 40] = (damaged[data.length - 40] ?? 0) ^ 1;
      return damaged;
    },
  ],
])('%s instead of a bundle is refused', async (_, damage) => {
  const commit = sandbox.commit({ b: 'b' });
  const data = damage(bundle('refs/heads/main', `^${base}`));
  await expect(mirror.importBundle(data, commit, KEEP)).rejects.toMatchObject({ name: 'GitError' });
  expect(() => gitIn(mirror.dir, ['rev-parse', '--verify', '--quiet', KEEP])).toThrow();
});

test('objects that would harm a checkout are refused by fsck', async () => {
  // A tree with ".git" in it, which git itself does not write.
  const blob = gitIn(sandbox.dir, ['hash-object', '-w', '--stdin'], { input: '[core]\nfsmonitor=evil\n' });
  const entry = Buffer.concat([Buffer.from('100644 .git\0'), Buffer.from(blob, 'hex')]);
  mkdirSync(join(folder.dir, 'raw'));
  writeFileSync(join(folder.dir, 'raw', 'tree'), entry);
  const tree = gitIn(sandbox.dir, ['hash-object', '-w', '--literally', '-t', 'tree', join(folder.dir, 'raw', 'tree')]);
  const commit = gitIn(sandbox.dir, ['commit-tree', tree, '-p', base], { input: 'evil' });
  gitIn(sandbox.dir, ['update-ref', 'refs/heads/main', commit]);
  await expect(mirror.importBundle(bundle('refs/heads/main', `^${base}`), commit, KEEP)).rejects.toThrow(/hasDotgit/);
  expect(() => gitIn(mirror.dir, ['rev-parse', '--verify', '--quiet', KEEP])).toThrow();
});
