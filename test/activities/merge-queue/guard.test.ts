import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Mirror } from '../../../src/activities/git/contract.ts';
import { landBatch } from '../../../src/activities/merge-queue/land.ts';
import type { MergeRequest } from '../../../src/shared/contracts/merge.ts';
import { batch, mirrorOf, workOn } from '../../support/merges.ts';
import { bareRepository, type TestFiles, type TestRepository, temporaryFolder } from '../../support/repos.ts';

let folder: ReturnType<typeof temporaryFolder>;
let remote: TestRepository;
let mirror: Mirror;
let base: string;
let theirs: string;
beforeEach(async () => {
  folder = temporaryFolder();
  remote = bareRepository(join(folder.dir, 'origin.git'), { 'a.ts': 'first\nlast\n', 'logo.png': Buffer.from([0, 1]) });
  base = remote.tip();
  mirror = await mirrorOf(folder.dir, remote.dir);
  const other = workOn(remote, base, 'other', {
    'a.ts': 'first\ntheirs = 1\nlast\n',
    'theirs.ts': 'export const theirs = 1;\n',
    'logo.png': Buffer.from([0, 2]),
    'run.sh': { mode: '100755', content: 'echo theirs\n' },
  });
  await landBatch(mirror, batch(mirror, other));
  theirs = remote.tip();
});
afterEach(() => folder.remove());

/** What a conflict agent made of work that began at `base` and met what had landed. */
const resolved = (files: TestFiles, overrides: Partial<MergeRequest> = {}): MergeRequest =>
  workOn(remote, theirs, 'mine', files, { since: base, ...overrides });

const land = async (...entries: MergeRequest[]) =>
  (await landBatch(mirror, batch(mirror, ...entries))).outcomes.map(({ outcome }) => outcome);

test('a resolution that drops a line that another task landed is told, with the line and the task', async () => {
  const [outcome] = await land(resolved({ 'a.ts': 'first\nmine = 1\nlast\n' }));
  expect(outcome).toEqual({
    kind: 'landed',
    commit: remote.tip(),
    lost: [{ path: 'a.ts', count: 1, sample: ['theirs = 1'], from: [{ commit: theirs, task: 'run/other.1' }] }],
  });
});

test('with "hold" it is not landed, the branch stays as it is, the work is kept, and the rest of the batch lands', async () => {
  const held = resolved({ 'a.ts': 'first\nmine = 1\nlast\n' }, { guard: 'hold' });
  const next = workOn(remote, theirs, 'next', { 'next.ts': 'next\n' });
  const [first, second] = await land(held, next);
  expect(first).toMatchObject({ kind: 'held', lost: [{ path: 'a.ts', sample: ['theirs = 1'] }] });
  expect(second).toEqual({ kind: 'landed', commit: remote.tip() });
  expect(remote.git('rev-parse', `${remote.tip()}^`)).toBe(theirs);
  expect(remote.refs('refs/agentswarm/')).toEqual([held.ref]);
});

test('a resolution that keeps both sides is not held', async () => {
  const kept = {
    'a.ts': 'first\n  theirs = 1\nmine = 1\n',
    'theirs.ts': null,
    'moved.ts': 'export const theirs = 1;\n',
  };
  const [outcome] = await land(resolved(kept, { guard: 'hold' }));
  expect(outcome).toEqual({ kind: 'landed', commit: remote.tip() });
});

test('binary files, whole files and their modes are somebody’s work, too', async () => {
  const [outcome] = await land(
    resolved({
      'logo.png': Buffer.from([0, 3]),
      'theirs.ts': null,
      'run.sh': { mode: '100755', content: 'echo theirs\n' },
    }),
  );
  expect(outcome).toMatchObject({
    lost: [
      { path: 'logo.png', count: 1, sample: [expect.stringContaining('binary')], from: [{ task: 'run/other.1' }] },
      { path: 'theirs.ts', count: 1, sample: ['export const theirs = 1;'] },
    ],
  });
  const plain = workOn(remote, remote.tip(), 'plain', { 'run.sh': 'echo theirs\n' }, { since: base });
  expect((await land(plain))[0]).toMatchObject({ lost: [{ path: 'run.sh', sample: ['(file mode 100755)'] }] });
});

test('work on the commit that it began from is not looked at: what it takes away was there when it began', async () => {
  const before = workOn(remote, theirs, 'aware', { 'theirs.ts': null }, { since: theirs, guard: 'hold' });
  const never = workOn(remote, theirs, 'plain', { 'logo.png': null }, { guard: 'hold' });
  expect((await land(before, never)).map(({ kind }) => kind)).toEqual(['landed', 'landed']);
});

test('whoever asks again for what has landed is told the same', async () => {
  const entry = resolved({ 'a.ts': 'first\nmine = 1\nlast\n' });
  const first = await land(entry);
  remote.git('update-ref', entry.ref, entry.commit);
  expect(await land(entry)).toEqual(first);
  expect(first[0]).toMatchObject({ lost: [{ path: 'a.ts' }] });
});

test('evidence is bounded, and names of files that git would quote are told as they are', async () => {
  const many = Object.fromEntries(
    Array.from({ length: 30 }, (_, i) => [`ł ${i}\n.txt`, `theirs ${'x'.repeat(400)}\n`.repeat(5)]),
  );
  await land(workOn(remote, theirs, 'many', many));
  const gone = Object.fromEntries(Object.keys(many).map((path) => [path, null]));
  const [outcome] = await land(workOn(remote, remote.tip(), 'mine', gone, { since: base }));
  expect(outcome).toMatchObject({ kind: 'landed', lost: { length: 8 } });
  expect(JSON.stringify(outcome)).toContain('ł 0\\n.txt');
  expect(JSON.stringify(outcome).length).toBeLessThan(10_000);
});
