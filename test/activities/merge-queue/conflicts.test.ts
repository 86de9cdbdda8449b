import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Mirror } from '../../../src/activities/git/contract.ts';
import { parseConflicts } from '../../../src/activities/merge-queue/conflicts.ts';
import { landBatch } from '../../../src/activities/merge-queue/land.ts';
import type { Conflict } from '../../../src/shared/contracts/conflict.ts';
import { batch, mirrorOf, workOn } from '../../support/merges.ts';
import { bareRepository, type TestFiles, type TestRepository, temporaryFolder } from '../../support/repos.ts';

const lines = (from: number): string => Array.from({ length: 20 }, (_, i) => `line ${from + i}\n`).join('');
const sub = (digit: string): TestFiles[string] => ({ mode: '160000', content: digit.repeat(40) });

/** Of each kind: the base, what landed, what the work did. Each in a folder of its own. */
const CASES: [Conflict['kind'], TestFiles, TestFiles, TestFiles, Partial<Conflict>][] = [
  ['content', { a: '1\n2\n3\n' }, { a: '1\nours\n3\n' }, { a: '1\ntheirs\n3\n' }, { path: 'content/a' }],
  ['add/add', {}, { a: 'ours\n' }, { a: 'theirs\n' }, { path: 'add-add/a' }],
  ['binary', { a: Buffer.from([0, 1]) }, { a: Buffer.from([0, 2]) }, { a: Buffer.from([0, 3]) }, { path: 'binary/a' }],
  [
    'modify/delete',
    { a: lines(100) },
    { a: null },
    { a: `${lines(100)}more\n` },
    { path: 'modify-delete/a', detail: expect.stringMatching(/deleted in the branch and modified in this work/) },
  ],
  [
    'rename/delete',
    { a: lines(200) },
    { a: null, b: lines(200) },
    { a: null },
    {
      path: 'rename-delete/b',
      detail: expect.stringMatching(/a renamed to .*b in the branch, but deleted in this work/),
    },
  ],
  [
    'rename/rename',
    { a: lines(300) },
    { a: null, b: lines(300) },
    { a: null, c: lines(300) },
    { path: 'rename-rename/a', detail: expect.stringMatching(/to .*b in the branch and to .*c in this work/) },
  ],
  ['file/directory', {}, { 'a/x': 'ours\n' }, { a: 'theirs\n' }, { path: 'file-directory/a' }],
  [
    'directory',
    { 'd/x': lines(400), 'd/y': lines(500) },
    { 'd/x': null, 'd/y': null, 'e/x': lines(400), 'e/y': lines(500) },
    { 'd/new': 'new\n' },
    { path: 'directory/e/new' },
  ],
  ['mode', { a: 'text\n' }, { a: { mode: '120000', content: 'target' } }, { a: 'other\n' }, { path: 'mode/a' }],
  ['submodule', { a: sub('1') }, { a: sub('2') }, { a: sub('3') }, { path: 'submodule/a' }],
];
const below = (kind: string, files: TestFiles): TestFiles =>
  Object.fromEntries(Object.entries(files).map(([path, file]) => [`${kind.replace('/', '-')}/${path}`, file]));
const all = (which: 1 | 2 | 3): TestFiles =>
  Object.fromEntries(CASES.flatMap((each) => Object.entries(below(each[0], each[which]))));

let folder: ReturnType<typeof temporaryFolder>;
let remote: TestRepository;
let mirror: Mirror;
let base: string;
beforeAll(async () => {
  folder = temporaryFolder();
  remote = bareRepository(join(folder.dir, 'origin.git'), { 'README.md': 'x\n', ...all(1) });
  base = remote.tip();
  mirror = await mirrorOf(folder.dir, remote.dir);
  remote.commit(all(2), { message: 'ours' });
});
afterAll(() => folder.remove());

test('every kind of conflict is told with its file and what each side did, out of one merge', async () => {
  const [outcome] = (await landBatch(mirror, batch(mirror, workOn(remote, base, 'all', all(3))))).outcomes;
  if (outcome?.outcome.kind !== 'conflicted') expect.fail(JSON.stringify(outcome));
  const { conflicts = [], files } = outcome.outcome;
  for (const [kind, , , , expected] of CASES) {
    expect(conflicts.filter(({ path }) => path.startsWith(`${kind.replace('/', '-')}/`))).toEqual([
      { kind, path: expect.any(String), detail: expect.any(String), ...expected },
    ]);
  }
  expect(conflicts).toHaveLength(CASES.length);
  expect(files.filter((file) => /~|[0-9a-f]{40}/.test(file))).toEqual([]);
  expect(JSON.stringify(conflicts)).not.toMatch(/[0-9a-f]{40}/);
});

test('work on a base that the branch was rewritten without conflicts in the same words', async () => {
  const rewritten = bareRepository(join(folder.dir, 'rewritten.git'), { a: '1\n2\n3\n' });
  const first = rewritten.tip();
  const tree = rewritten.git('rev-parse', 'main^{tree}');
  rewritten.git('update-ref', 'refs/heads/main', rewritten.git('commit-tree', tree, '-m', 'another root'));
  rewritten.commit({ a: '1\nours\n3\n' });
  const entry = workOn(rewritten, first, 'work', { a: '1\ntheirs\n3\n' });
  const own = await mirrorOf(join(folder.dir, 'second'), rewritten.dir);
  expect((await landBatch(own, batch(own, entry))).outcomes[0]?.outcome).toMatchObject({
    kind: 'conflicted',
    files: ['a'],
    conflicts: [{ path: 'a', kind: 'content' }],
  });
});

test('a type of conflict that a later git may have is "other", and what is no conflict is left out', () => {
  const sides = { ours: 'a'.repeat(40), theirs: 'b'.repeat(40) };
  const output = [
    'f'.repeat(40),
    '',
    '1',
    'x',
    'CONFLICT (quantum)',
    'CONFLICT (quantum): x\n',
    '1',
    'y',
    'Auto-merging',
    'Auto-merging y\n',
    '',
  ];
  expect(parseConflicts(output.join('\0'), sides)).toEqual([{ path: 'x', kind: 'other', detail: 'x' }]);
});

test('sixty conflicts are told by the first fifty, all their files by name', async () => {
  const names = Array.from({ length: 60 }, (_, i) => `many/${i}.txt`);
  const files = (text: string): TestFiles => Object.fromEntries(names.map((name) => [name, text]));
  const before = remote.tip();
  remote.commit(files('ours\n'));
  const entry = workOn(remote, before, 'many', files('theirs\n'));
  const [outcome] = (await landBatch(mirror, batch(mirror, entry))).outcomes;
  if (outcome?.outcome.kind !== 'conflicted') expect.fail(JSON.stringify(outcome));
  expect(outcome.outcome.files).toHaveLength(60);
  expect(outcome.outcome.conflicts).toHaveLength(50);
});
