import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { readIndex, treesOf } from '../../../../../src/activities/sandbox/checkpoints/fast/git-index.ts';
import {
  storeObjects,
  markTaken,
  packTree,
  TooLarge,
} from '../../../../../src/activities/sandbox/checkpoints/fast/object-store.ts';
import { encodePack } from '../../../../../src/activities/sandbox/checkpoints/fast/loose-objects.ts';
import { CommitSha } from '../../../../../src/shared/base/ids.ts';
import { temporaryFolder } from '../../../../support/repos.ts';

const removals: (() => void)[] = [];
afterEach(() => {
  for (const remove of removals.splice(0)) remove();
});

const git = (dir: string, argv: readonly string[], input?: Buffer) =>
  execFileSync('git', ['-c', 'user.name=A', '-c', 'user.email=a@b', ...argv], { cwd: dir, ...(input && { input }) })
    .toString()
    .trim();

/** A mirror, and a work tree whose git folder stands on it, as a sandbox has them. */
function place(format: 'sha1' | 'sha256' = 'sha1') {
  const { dir, remove } = temporaryFolder();
  removals.push(remove);
  const [mirror, work] = [join(dir, 'mirror'), join(dir, 'work')];
  git(dir, ['init', '-q', '--bare', `--object-format=${format}`, mirror]);
  git(dir, ['init', '-q', `--object-format=${format}`, work]);
  writeFileSync(join(work, 'first'), 'first\n');
  git(work, ['add', '-A']);
  git(work, ['commit', '-qm', 'base']);
  git(work, ['push', '-q', mirror, 'HEAD:refs/heads/main']);
  const base = CommitSha.parse(git(work, ['rev-parse', 'HEAD']));
  rmSync(work, { recursive: true });
  git(dir, ['init', '-q', `--object-format=${format}`, work]);
  writeFileSync(join(work, '.git', 'objects', 'info', 'alternates'), `${join(mirror, 'objects')}\n`);
  git(work, ['read-tree', '--reset', '-u', base]);
  const objects = join(work, '.git', 'objects');
  const folder = join(dir, 'kept');
  let before: CommitSha | undefined;
  let packedOn = base;
  return {
    mirror,
    work,
    base,
    folder,
    /** @param by whom the trees are made. */
    async checkpoint(maxBytes = 1e9, by: 'git' | 'host' = 'git') {
      git(work, ['add', '-A']);
      const index =
        by === 'git' ? null : readIndex(readFileSync(join(work, '.git', 'index')), format === 'sha1' ? 20 : 32);
      const trees = index === null ? null : treesOf(index, format);
      const { root: tree, made } = trees ?? { root: git(work, ['write-tree']), made: new Map<string, Buffer>() };
      const content = Buffer.from(
        `tree ${tree}\nparent ${base}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n`,
      );
      const known = new Set(git(mirror, ['ls-tree', '-r', '-t', '--object-only', packedOn]).split('\n'));
      const commit = { content, tree, parents: [base], before, made, ...(by === 'host' && { known }) };
      const kept = await storeObjects(folder, objects, commit, maxBytes);
      before = kept.commit;
      return { tree, ...kept };
    },
    async take(commit: CommitSha) {
      const kept = await packTree(folder, commit);
      if (kept === null) throw new Error('not kept');
      git(mirror, ['unpack-objects', '-q', '--strict'], kept.packed.pack);
      markTaken(folder, kept.names);
      packedOn = commit;
      return kept;
    },
    /** The files of a commit as the mirror alone has them. */
    files: (commit: string) => git(mirror, ['ls-tree', '-r', '-z', commit]),
  };
}

describe.each(['sha1', 'sha256'] as const)('a kept tree (%s)', (format) => {
  it('reaches the mirror whole, whatever was stored before and lost since', async () => {
    const path = fc.tuple(fc.constantFrom('', 'a', 'a/b', 'c/d/e'), fc.constantFrom('x', 'y', 'z'));
    const change = fc.record({
      path,
      bytes: fc.option(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.nat({ max: 60_000 }).map((size) => new Uint8Array(randomBytes(size))),
        ),
      ),
    });
    const by = fc.constantFrom('git' as const, 'host' as const);
    const turn = fc.record({ changes: fc.array(change, { maxLength: 5 }), take: fc.boolean(), by });
    await fc.assert(
      fc.asyncProperty(fc.array(turn, { minLength: 1, maxLength: 6 }), async (turns) => {
        const at = place(format);
        let last: { commit: CommitSha; tree: string } | undefined;
        for (const { changes, take, by } of turns) {
          for (const {
            path: [folder, name],
            bytes,
          } of changes) {
            mkdirSync(join(at.work, folder), { recursive: true });
            if (bytes === null) rmSync(join(at.work, folder, name), { force: true });
            else writeFileSync(join(at.work, folder, name), bytes);
          }
          last = await at.checkpoint(1e9, by);
          if (take) await at.take(last.commit);
        }
        if (last === undefined) return;
        // The sandbox is gone; what it made is here.
        const expected = git(at.work, ['ls-tree', '-r', '-z', git(at.work, ['write-tree'])]);
        rmSync(at.work, { recursive: true });
        await at.take(last.commit);
        expect(at.files(last.commit)).toBe(expected);
        expect(git(at.mirror, ['fsck', '--strict', '--no-dangling', last.commit])).toBe('');
      }),
      { numRuns: 6 },
    );
  }, 120_000);
});

describe('a kept tree', () => {
  it('names its commit as git does', async () => {
    const at = place();
    writeFileSync(join(at.work, 'new'), 'new\n');
    const { commit, tree } = await at.checkpoint();
    const env = { ...process.env, GIT_AUTHOR_DATE: '@1 +0000', GIT_COMMITTER_DATE: '@1 +0000' };
    const argv = ['-c', 'user.name=A', '-c', 'user.email=a@b', 'commit-tree', tree, '-p', at.base, '-m', 'x'];
    expect(execFileSync('git', argv, { cwd: at.work, env }).toString().trim()).toBe(commit);
  });

  it('costs nothing again for what the mirror took', async () => {
    const at = place();
    for (let i = 0; i < 50; i++) writeFileSync(join(at.work, `f${i}`), `${i}`.repeat(2_000));
    const first = await at.checkpoint();
    expect((await at.take(first.commit)).names.length).toBe(51);
    writeFileSync(join(at.work, 'f1'), 'changed');
    const second = await at.checkpoint();
    expect(second.bytes).toBeLessThan(3_000);
    expect((await at.take(second.commit)).names.length).toBe(2);
  });

  it('is refused when it is more than can be taken, and the one before stays', async () => {
    const at = place();
    writeFileSync(join(at.work, 'small'), 'small');
    const { commit } = await at.checkpoint();
    writeFileSync(join(at.work, 'zeros'), Buffer.alloc(3_000_000));
    await expect(at.checkpoint(2_000_000)).rejects.toThrow(TooLarge);
    expect((await at.take(commit)).packed.commit).toBe(commit);
  });

  it('that was cut short is not taken for whole', async () => {
    const at = place();
    writeFileSync(join(at.work, 'new'), 'new\n');
    const { commit } = await at.checkpoint();
    const [kept = ''] = readdirSync(at.folder).filter((name) => name.startsWith('kept-'));
    truncateSync(join(at.folder, kept), statSync(join(at.folder, kept)).size - 10);
    await expect(packTree(at.folder, commit)).rejects.toThrow(/does not keep commit/);
    expect(await packTree(at.folder, at.base)).toBeNull();
  });

  it('takes no more room than one version of each object', async () => {
    const at = place();
    let [before, last]: (CommitSha | undefined)[] = [];
    for (let turn = 0; turn < 6; turn++) {
      writeFileSync(join(at.work, 'log'), 'line\n'.repeat(turn + 1));
      const made = await at.checkpoint(1e9, 'host');
      if (turn === 4) before = made.commit;
      if (turn === 5) last = made.commit;
    }
    expect(readdirSync(at.folder).sort()).toEqual(['kept-0', 'kept-1', 'new']);
    // Its blobs, of which each was another; the trees are in the places.
    expect(readdirSync(join(at.folder, 'new'))).toHaveLength(6);
    // The record may name either.
    expect(await packTree(at.folder, before ?? at.base)).not.toBeNull();
    expect(await packTree(at.folder, last ?? at.base)).not.toBeNull();
  });
});

describe('a pack', () => {
  it('holds objects of every size of header', async () => {
    const { mirror } = place();
    const sizes = [0, 1, 15, 16, 17, 2_047, 2_048, 2_049, 300_000];
    const objects = sizes.map((size) => ({ type: 'blob' as const, data: randomBytes(size) }));
    git(mirror, ['unpack-objects', '-q', '--strict'], await encodePack(objects, 'sha1'));
    for (const { data } of objects) {
      const blob = execFileSync('git', ['hash-object', '--stdin'], { input: data }).toString().trim();
      expect(execFileSync('git', ['cat-file', 'blob', blob], { cwd: mirror, maxBuffer: 1e6 }).equals(data)).toBe(true);
    }
  });
});
