import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Mirror } from '../../../src/activities/git/contract.ts';
import { landBatch } from '../../../src/activities/merge-queue/land.ts';
import { planBatch } from '../../../src/activities/merge-queue/plan.ts';
import { keepsWhatMerged } from '../../../src/activities/merge-queue/within-conflicts.ts';
import type { MergeRequest } from '../../../src/shared/contracts/merge.ts';
import { batch, mirrorOf, overriding, workOn } from '../../support/merges.ts';
import { bareRepository, gitIn, type TestRepository, temporaryFolder } from '../../support/repos.ts';

/** A file of 40 lines, some of them changed. */
const text = (changes: Record<number, string> = {}): string =>
  Array.from({ length: 40 }, (_, i) => `${changes[i] ?? `line ${i}`}\n`).join('');
/** From line 12 on all is new: git sees no rename in a file that was changed so much. */
const rewritten = (changes: Record<number, string> = {}): string =>
  text({ ...Object.fromEntries(Array.from({ length: 28 }, (_, i) => [i + 12, `another ${i * 7}`])), ...changes });

let folder: ReturnType<typeof temporaryFolder>;
let remote: TestRepository;
let mirror: Mirror;
let base: string;
beforeEach(async () => {
  folder = temporaryFolder();
  remote = bareRepository(join(folder.dir, 'origin.git'), { 'a.ts': text(), 'b.ts': text(), 'old.ts': text() });
  base = remote.tip();
  mirror = await mirrorOf(folder.dir, remote.dir);
});
afterEach(() => folder.remove());

const land = async (...entries: MergeRequest[]) =>
  (await landBatch(mirror, batch(mirror, ...entries))).outcomes.map(({ outcome }) => outcome);

/** What people's `git rebase` makes of the work, onto one commit after the other: its tree. */
function rebasedByHand(work: string, ...onto: string[]): string {
  const dir = join(folder.dir, 'person');
  mkdirSync(dir);
  gitIn(dir, ['init', '--quiet', '.']);
  gitIn(dir, ['fetch', '--quiet', remote.dir, work, 'main']);
  gitIn(dir, ['checkout', '--quiet', '--detach', work]);
  for (const landing of onto) gitIn(dir, ['rebase', '--quiet', landing]);
  return gitIn(dir, ['rev-parse', 'HEAD^{tree}']);
}
const landingsSince = (from: string): string[] =>
  remote.git('rev-list', '--reverse', '--first-parent', `${from}..main`).split('\n');
const treeOf = (commit: string): string => remote.git('rev-parse', `${commit}^{tree}`);

/** Conflicts with the tip as one: the branch has made the same change, and then gone on from there. */
function gonePast(): { work: MergeRequest; tip: string; landings: string[] } {
  const work = workOn(remote, base, 'late', {
    'a.ts': text({ 5: 'const port = 80;', 30: 'own = 1' }),
    'own.ts': 'own\n',
  });
  remote.commit({ 'a.ts': text({ 5: 'const port = 80;' }) }, { message: 'the same port' });
  remote.commit({ 'b.ts': text({ 1: 'other' }) }, { message: 'something else' });
  const tip = remote.commit({ 'a.ts': text({ 5: 'const port = readPort();' }) }, { message: 'the port is read' });
  return { work, tip, landings: landingsSince(base) };
}

describe('work that conflicts with the tip alone lands', () => {
  test('where a part of it has landed already and was built upon, as a rebase by hand has it', async () => {
    const { work, tip, landings } = gonePast();
    const expected = rebasedByHand(work.commit, ...landings);
    expect(await land(work)).toEqual([{ kind: 'landed', commit: remote.tip(), rebased: true }]);
    expect(treeOf('main')).toBe(expected);
    expect(remote.git('rev-parse', 'main^@')).toBe(tip);
    expect(remote.message()).toBe(
      'late\n\nWhat late did.\n\nSwarm-Task: run/late.1\nSwarm-Change: first-run-of-late\n',
    );
    expect(remote.files()['a.ts']).toContain('readPort');
    expect(remote.files()['a.ts']).toContain('own = 1');
    expect(remote.refs('refs/agentswarm/')).toEqual([]);
    // Asked for again it is the same landing.
    remote.git('update-ref', work.ref, work.commit);
    expect(await land(work)).toEqual([{ kind: 'landed', commit: remote.tip() }]);
  });

  test('where a file was renamed and then rewritten, in its new place', async () => {
    const work = workOn(remote, base, 'late', { 'old.ts': text({ 3: 'mended' }) });
    remote.commit({ 'old.ts': null, 'new.ts': text() }, { message: 'renamed' });
    const tip = remote.commit({ 'new.ts': rewritten() }, { message: 'rewritten' });
    const expected = rebasedByHand(work.commit, ...landingsSince(base));
    expect(await land(work)).toMatchObject([{ kind: 'landed', rebased: true }]);
    expect(treeOf('main')).toBe(expected);
    expect(remote.git('diff', '--name-status', tip, 'main')).toBe('M\tnew.ts');
    expect(remote.files()['new.ts']).toContain('mended');
  });

  test('where one of its commits is on the branch already, as one rebase by hand has it', async () => {
    const first = remote.detached({ 'a.ts': text({ 5: 'first' }) }, { parent: base });
    const work = workOn(remote, first, 'late', { 'b.ts': text({ 9: 'second' }) }, { base });
    remote.commit({ 'a.ts': text({ 5: 'first' }) }, { message: 'the same patch' });
    const tip = remote.commit({ 'a.ts': text({ 5: 'first, and better' }) }, { message: 'better' });
    const expected = rebasedByHand(work.commit, tip);
    expect(await land(work)).toMatchObject([{ kind: 'landed', rebased: true }]);
    expect(treeOf('main')).toBe(expected);
  });

  test('past a landing that it conflicts with and that was taken back', async () => {
    const work = workOn(remote, base, 'late', { 'a.ts': text({ 5: 'theirs', 20: 'own' }) });
    remote.commit({ 'a.ts': text({ 5: 'wrong' }) }, { message: 'wrong' });
    remote.commit({ 'a.ts': text() }, { message: 'taken back' });
    remote.commit({ 'a.ts': text({ 5: 'theirs' }) }, { message: 'the same' });
    remote.commit({ 'a.ts': text({ 5: 'theirs, and better' }) }, { message: 'better' });
    expect(await land(work)).toMatchObject([{ kind: 'landed', rebased: true }]);
    expect(remote.files()['a.ts']).toBe(`100644 ${text({ 5: 'theirs, and better', 20: 'own' })}`);
  });

  test('over what came before it in its own batch', async () => {
    const { work, tip } = gonePast();
    const mate = workOn(remote, tip, 'mate', { 'a.ts': text({ 5: 'const port = await readPort();' }) });
    expect(await land(mate, work)).toMatchObject([{ kind: 'landed' }, { kind: 'landed', rebased: true }]);
    expect(remote.log().slice(0, 2)).toEqual(['late', 'mate']);
    expect(remote.files()['a.ts']).toBe(`100644 ${text({ 5: 'const port = await readPort();', 30: 'own = 1' })}`);
  });

  test('as nothing, where all of it has landed and was built upon', async () => {
    const work = workOn(remote, base, 'late', { 'a.ts': text({ 5: 'same' }) });
    remote.commit({ 'a.ts': text({ 5: 'same' }) });
    const tip = remote.commit({ 'a.ts': text({ 5: 'same, and better' }) });
    expect(await land(work)).toEqual([{ kind: 'empty' }]);
    expect(remote.tip()).toBe(tip);
  });

  test.each(['rebase', 'merge-commit'] as const)(
    'with one commit for its change on top of the tip, as %s',
    async (strategy) => {
      const { work, tip } = gonePast();
      const one = { ...work, strategy };
      await mirror.fetchBranch('main');
      const at = new Date('2026-01-02T03:04:05Z');
      const plan = await planBatch(mirror, tip, [one], { at });
      expect(plan.outcomes).toEqual([{ kind: 'landed', commit: plan.tip, rebased: true }]);
      expect(gitIn(mirror.dir, ['rev-parse', `${plan.tip}^1`])).toBe(tip);
      expect(gitIn(mirror.dir, ['show', `${plan.tip}:a.ts`])).toContain('own = 1');
      // A process for each merge makes the very same.
      expect(await planBatch(overriding(mirror, { converse: () => undefined }), tip, [one], { at })).toEqual(plan);
    },
  );
});

describe('an agent is asked', () => {
  const conflicted = (...files: string[]) => [
    { kind: 'conflicted', tip: remote.tip(), files, conflicts: files.map((path) => ({ path, kind: 'content' })) },
  ];

  test('where a landing on the way conflicts for good, and is told of the conflict with the tip', async () => {
    const { work } = gonePast();
    const tip = remote.commit({ 'a.ts': text({ 5: 'const port = readPort();', 30: 'theirs = 1' }) });
    expect(await land(work)).toMatchObject(conflicted('a.ts'));
    expect(remote.tip()).toBe(tip);
    expect(remote.refs('refs/agentswarm/')).toEqual([work.ref]);
  });

  test('where the same lines were landed and taken back: that the work has them may be on purpose', async () => {
    const work = workOn(remote, base, 'late', { 'a.ts': text({ 5: 'same', 20: 'feature on' }) });
    remote.commit({ 'a.ts': text({ 5: 'same', 20: 'feature on' }) });
    remote.commit({ 'a.ts': text({ 5: 'same, and better' }) }, { message: 'better, and the feature off again' });
    expect(await land(work)).toMatchObject(conflicted('a.ts'));
  });

  test('and likewise in a file that does not conflict', async () => {
    const work = workOn(remote, base, 'late', { 'a.ts': text({ 5: 'same' }), 'b.ts': text({ 20: 'feature on' }) });
    remote.commit({ 'a.ts': text({ 5: 'same' }), 'b.ts': text({ 20: 'feature on' }) });
    remote.commit({ 'a.ts': text({ 5: 'same, and better' }), 'b.ts': text() });
    expect(await land(work)).toMatchObject(conflicted('a.ts'));
  });

  test('where a binary file that it changes is not there any more', async () => {
    const before = remote.commit({ 'logo.png': Buffer.from([0, 1]) });
    const work = workOn(remote, before, 'late', { 'logo.png': Buffer.from([0, 2]) });
    remote.commit({ 'logo.png': Buffer.from([0, 2]) });
    remote.commit({ 'logo.png': null });
    expect(await land(work)).toMatchObject([{ kind: 'conflicted', conflicts: [{ kind: 'modify/delete' }] }]);
  });

  test('where the branch was rewritten without the base of the work', async () => {
    const { work } = gonePast();
    let tip = remote.git('commit-tree', treeOf(base), '-m', 'another root');
    for (const landing of landingsSince(base))
      tip = remote.git('commit-tree', treeOf(landing), '-p', tip, '-m', 'again');
    remote.git('update-ref', 'refs/heads/main', tip);
    expect(await land(work)).toMatchObject(conflicted('a.ts'));
  });
});

test('what resolves a conflict and is rebased then is still looked at for what it takes away', async () => {
  const others = remote.commit({ 'b.ts': text({ 2: 'theirs = 2' }) }, { message: 'theirs' });
  const resolved = { since: base, guard: 'hold' as const };
  const work = workOn(
    remote,
    others,
    'mine',
    { 'a.ts': text({ 5: 'same' }), 'b.ts': text({ 2: 'mine = 2' }) },
    resolved,
  );
  remote.commit({ 'a.ts': text({ 5: 'same' }) });
  const tip = remote.commit({ 'a.ts': text({ 5: 'same, and better' }) });
  expect(await land(work)).toMatchObject([{ kind: 'held', lost: [{ path: 'b.ts', sample: ['theirs = 2'] }] }]);
  expect(remote.tip()).toBe(tip);
});

describe('what one merge has merged by itself', () => {
  const [ours, theirs] = ['a'.repeat(40), 'b'.repeat(40)];
  const conflict = `<<<<<<< ${ours}\n1\n=======\n2\n>>>>>>> ${theirs}\n`;
  test.each<[string, string, boolean]>([
    [`a\n${conflict}z\n`, 'a\nanything\nz\n', true],
    [`a\n${conflict}z\n`, 'a\nz\n', true],
    [`a\n${conflict}z\n`, 'a\n', false],
    [`a\n${conflict}z\n`, 'b\nz\n', false],
    [`a\n${conflict}m\n${conflict}z\n`, 'a\nx\nm\ny\nz\n', true],
    [`a\n${conflict}m\n${conflict}z\n`, 'a\nx\ny\nz\n', false],
    [`${conflict}z`, 'x\nz', true],
    // The same line is not counted for both ends.
    [`z\n${conflict}z\n`, 'z\n', false],
    [`<<<<<<< ${ours}:old.ts\n1\n=======\n2\n>>>>>>> ${theirs}:new.ts\nz\n`, 'z\n', true],
    [`a\n<<<<<<< ${ours}\n1\n`, 'a\n', false],
    ['of a file that was deleted on the other side\n', '', true],
  ])('%j may become %j: %s', (merged, result, expected) => {
    expect(keepsWhatMerged(merged, result, { ours, theirs })).toBe(expected);
  });
});
