import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Mirror } from '../../../src/activities/git/contract.ts';
import { landBatch } from '../../../src/activities/merge-queue/land.ts';
import type { MergeStrategy } from '../../../src/shared/contracts/merge-strategy.ts';
import { AUTHOR, batch, mirrorOf, workOn } from '../../support/merges.ts';
import { bareRepository, type TestRepository, temporaryFolder } from '../../support/repos.ts';

const STRATEGIES: MergeStrategy[] = ['rebase', 'squash', 'fast-forward', 'merge-commit'];
const LINES = Array.from({ length: 30 }, (_, i) => `line ${i}\n`);
const text = (changes: Record<number, string> = {}): string => LINES.map((line, i) => changes[i] ?? line).join('');

let folder: ReturnType<typeof temporaryFolder>;
let remote: TestRepository;
let base: string;
let mirror: Mirror;
beforeEach(async () => {
  folder = temporaryFolder();
  remote = bareRepository(join(folder.dir, 'origin.git'), { 'a.txt': text(), 'b.txt': text(), 'old/c.txt': text() });
  base = remote.tip();
  mirror = await mirrorOf(folder.dir, remote.dir);
});
afterEach(() => folder.remove());

/** Work of three commits, of which the second is empty and one forges a trailer. */
function threeCommits(strategy: MergeStrategy) {
  const first = remote.detached({ 'new.txt': '1\n' }, { parent: base, message: 'first step\n\nSwarm-Change: forged' });
  const second = remote.detached({}, { parent: first, message: 'nothing to do' });
  const third = remote.detached({ 'new.txt': '2\n' }, { parent: second, message: 'last step' });
  const made = workOn(remote, base, 'alpha', {}, { strategy });
  remote.git('update-ref', made.ref, third);
  return { ...made, commit: third };
}

const graph = () => remote.git('log', '--topo-order', '--format=%s <%p>', 'main').replace(/[0-9a-f]{7,}/g, 'x');
const trailers = () =>
  remote
    .git(
      'log',
      '--format=%(trailers:key=Swarm-Task,valueonly,separator=%x2C) %(trailers:key=Swarm-Change,valueonly,separator=%x2C)',
      `${base}..main`,
    )
    .split('\n');

describe('the commits of work on the tip', () => {
  const expected: Record<MergeStrategy, string> = {
    rebase: 'alpha <x>\nfirst <>',
    squash: 'alpha <x>\nfirst <>',
    'fast-forward': 'alpha <x>\nnothing to do <x>\nfirst step <x>\nfirst <>',
    'merge-commit': 'Merge alpha <x x>\nalpha <x>\nnothing to do <x>\nfirst step <x>\nfirst <>',
  };
  test.each(STRATEGIES)(
    '%s makes the commits that it promises, all by the host and with its trailers',
    async (strategy) => {
      const entry = threeCommits(strategy);
      const { outcomes } = await landBatch(mirror, batch(mirror, entry));
      expect(outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: remote.tip() });
      expect(graph()).toBe(expected[strategy]);
      expect(new Set(trailers())).toEqual(new Set(['run/alpha.1 first-run-of-alpha']));
      expect(new Set(remote.git('log', '--format=%an %ae %cn %ce', `${base}..main`).split('\n'))).toEqual(
        new Set([`${AUTHOR.name} ${AUTHOR.email} ${AUTHOR.name} ${AUTHOR.email}`]),
      );
      expect(remote.git('rev-parse', 'main^{tree}')).toBe(remote.git('rev-parse', `${entry.commit}^{tree}`));
      expect(remote.git('merge-base', base, 'main')).toBe(base);
    },
  );

  test('squash lists what the work was made of, without a trailer of the agent', async () => {
    await landBatch(mirror, batch(mirror, threeCommits('squash')));
    expect(remote.message()).toBe(
      'alpha\n\nWhat alpha did.\n\n* first step\n* nothing to do\n* last step\n\nSwarm-Task: run/alpha.1\nSwarm-Change: first-run-of-alpha\n',
    );
  });
});

describe.each(STRATEGIES)('%s', (strategy) => {
  test('puts a batch onto a branch that has moved, on which every tree has all work before it', async () => {
    const entries = ['one', 'two'].map((name, i) =>
      workOn(remote, base, name, { 'a.txt': text({ [i * 10]: `${name}\n` }) }, { strategy }),
    );
    const person = remote.commit({ 'b.txt': text({ 3: 'person\n' }) }, { message: 'person' });
    const { outcomes } = await landBatch(mirror, batch(mirror, ...entries));
    expect(outcomes.map(({ outcome }) => outcome.kind)).toEqual(['landed', 'landed']);
    const merges = strategy === 'merge-commit';
    expect(remote.git('log', '--first-parent', '--format=%s', 'main').split('\n')).toEqual(
      merges ? ['Merge two', 'Merge one', 'person', 'first'] : ['two', 'one', 'person', 'first'],
    );
    expect(remote.git('rev-list', '--count', '--min-parents=2', 'main')).toBe(merges ? '2' : '0');
    expect(remote.git('rev-parse', 'main~2')).toBe(person);
    const files = remote.files();
    expect(files['a.txt']).toBe(`100644 ${text({ 0: 'one\n', 10: 'two\n' })}`);
    expect(files['b.txt']).toContain('person');
  });

  test('lands a change once, and answers with the commit that brought it to the branch', async () => {
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) }, { strategy });
    const first = await landBatch(mirror, batch(mirror, entry));
    const landed = remote.tip();
    remote.commit({ 'b.txt': 'later\n' }, { message: 'person' });
    const again = await landBatch(mirror, batch(mirror, { ...entry, id: 'another/2' }));
    expect(again.outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: landed });
    expect(first.outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: landed });
    expect(remote.log()[0]).toBe('person');
  });

  test('keeps submodules, modes, symlinks, renames and binary files', async () => {
    const binary = Buffer.from(Array.from({ length: 512 }, (_, i) => i % 256));
    const submodule = '1234567890123456789012345678901234567890';
    const entry = workOn(
      remote,
      base,
      'odd',
      {
        'old/c.txt': null,
        'moved/c.txt': text({ 5: 'moved\n' }),
        'run.sh': { mode: '100755', content: '#!/bin/sh\n' },
        link: { mode: '120000', content: 'a.txt' },
        'vendor/lib': { mode: '160000', content: submodule },
        'image.png': binary,
      },
      { strategy },
    );
    remote.commit({ 'old/c.txt': text({ 25: 'person\n' }) }, { message: 'person' });
    expect((await landBatch(mirror, batch(mirror, entry))).outcomes[0]?.outcome.kind).toBe('landed');
    const files = remote.files();
    expect(files['moved/c.txt']).toBe(`100644 ${text({ 5: 'moved\n', 25: 'person\n' })}`);
    expect(files['old/c.txt']).toBeUndefined();
    expect(files['run.sh']).toBe('100755 #!/bin/sh\n');
    expect(files.link).toBe('120000 a.txt');
    expect(files['vendor/lib']).toBe(`160000 ${submodule}`);
    expect(files['image.png']).toBe(`100644 ${binary.toString('latin1')}`);
  });

  test('does not bring back a history that the branch was rewritten without', async () => {
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) }, { strategy });
    const orphan = remote.git('commit-tree', `${base}^{tree}`, '-m', 'orphan');
    remote.git('update-ref', 'refs/heads/main', orphan);
    expect((await landBatch(mirror, batch(mirror, entry))).outcomes[0]?.outcome.kind).toBe('landed');
    expect(remote.log()).toEqual(['alpha', 'orphan']);
    expect(remote.files()['a.txt']).toContain('alpha');
  });
});

test('work with a merge in it fast-forwards as one commit', async () => {
  const left = remote.detached({ l: 'l' }, { parent: base });
  const right = remote.detached({ r: 'r' }, { parent: base });
  const both = remote.detached({ l: 'l', r: 'r' }, { parent: base });
  const merged = remote.git('commit-tree', `${both}^{tree}`, '-p', left, '-p', right, '-m', 'merged');
  const made = workOn(remote, base, 'alpha', {}, { strategy: 'fast-forward' });
  remote.git('update-ref', made.ref, merged);
  await landBatch(mirror, batch(mirror, { ...made, commit: merged }));
  expect(graph()).toBe('alpha <x>\nfirst <>');
  expect(remote.files().r).toBe('100644 r');
});
