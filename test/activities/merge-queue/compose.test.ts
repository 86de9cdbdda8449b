/** The two halves of a landing with a gate, over real repositories: merged lines beside the branch, and their push. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Mirror } from '../../../src/activities/git/contract.ts';
import { composeLine, dropLines } from '../../../src/activities/merge-queue/compose.ts';
import { landLine } from '../../../src/activities/merge-queue/land.ts';
import type { ComposeRequest } from '../../../src/shared/contracts/compose.ts';
import { failureTypeOf } from '../../../src/shared/base/failures.ts';
import { gateRefPrefix } from '../../../src/shared/base/ids.ts';
import { createTestLog } from '../../support/log.ts';
import { mirrorOf, workOn } from '../../support/merges.ts';
import { bareRepository, type TestRepository, temporaryFolder } from '../../support/repos.ts';
import { thrownBy } from '../../support/thrown.ts';

let folder: ReturnType<typeof temporaryFolder>;
let remote: TestRepository;
let mirror: Mirror;
let base: string;
beforeEach(async () => {
  folder = temporaryFolder();
  remote = bareRepository(join(folder.dir, 'origin.git'), { 'a.txt': 'a\n', 'b.txt': 'b\n' });
  base = remote.tip();
  mirror = await mirrorOf(folder.dir, remote.dir);
});
afterEach(() => folder.remove());

const target = 'main';
const compose = (more: Partial<ComposeRequest>, by = mirror) =>
  composeLine(by, { repo: mirror.repo, target, entries: [], ...more });
const land = (composed: { base: string; commit: string; ref: string }, drop: string[] = [], by = mirror) => {
  const { commit, ref } = composed;
  return landLine(by, { repo: mirror.repo, target, base: composed.base, commit, ref, drop });
};
const kinds = (steps: readonly { kind: string }[]) => steps.map(({ kind }) => kind);

describe('a line that is merged for its gate', () => {
  test('is on the remote under a ref of its own, and the branch is not touched', async () => {
    const entries = ['one', 'two'].map((name) => workOn(remote, base, name, { [name]: name }));
    const composed = await compose({ entries });
    expect(remote.tip()).toBe(base);
    expect(composed).toMatchObject({ base, ref: `${gateRefPrefix('main')}${composed.commit}` });
    expect(remote.git('rev-parse', composed.ref)).toBe(composed.commit);
    expect(remote.git('log', '--format=%s', `${base}..${composed.commit}`)).toBe('two\none');
    expect(kinds(composed.steps)).toEqual(['merged', 'merged']);
  });

  test('goes on from what was merged before, with the same commits', async () => {
    const [one, two] = ['one', 'two'].map((name) => workOn(remote, base, name, { [name]: name }));
    const first = await compose({ entries: [one!] });
    const both = await compose({ base, onto: first, entries: [two!] });
    expect(both.base).toBe(base);
    expect(remote.git('rev-parse', `${both.commit}^`)).toBe(first.commit);
  });

  test('decides a conflict with the branch, and sets one aside that is with the line only', async () => {
    const late = workOn(remote, base, 'late', { 'a.txt': 'late\n' });
    remote.commit({ 'a.txt': 'person\n' });
    const [x, y] = ['x', 'y'].map((name) => workOn(remote, base, name, { 'b.txt': `${name}\n` }));
    const { steps } = await compose({ entries: [x!, late, y!] });
    expect(steps).toEqual([
      expect.objectContaining({ kind: 'merged', id: x!.id }),
      { kind: 'decided', id: late.id, outcome: expect.objectContaining({ kind: 'conflicted', files: ['a.txt'] }) },
      { kind: 'aside', id: y!.id },
    ]);
  });

  test('what is on the branch already is decided; what brings nothing on top of the line only is set aside', async () => {
    const [done, x, same] = [
      workOn(remote, base, 'done', { 'done.txt': 'done\n' }),
      workOn(remote, base, 'x', { 'b.txt': 'x\n' }),
      workOn(remote, base, 'same', { 'b.txt': 'x\n' }),
    ];
    const first = await compose({ entries: [done] });
    await land(first);
    const { steps } = await compose({ entries: [done, x, same] });
    expect(steps).toEqual([
      { kind: 'decided', id: done.id, outcome: { kind: 'landed', commit: first.commit } },
      expect.objectContaining({ kind: 'merged', id: x.id }),
      { kind: 'aside', id: same.id },
    ]);
  });

  test('the same change twice is not called landed before it is', async () => {
    const one = workOn(remote, base, 'one', { 'one.txt': '1\n' });
    const again = { ...one, id: `${one.requester.firstRunId}/2` };
    expect(kinds((await compose({ entries: [one, again] })).steps)).toEqual(['merged', 'aside']);
    const first = await compose({ entries: [one] });
    expect(kinds((await compose({ base, onto: first, entries: [again] })).steps)).toEqual(['aside']);
  });

  test('without requests tells where the branch is', async () => {
    expect(await compose({})).toEqual({ base, commit: base, ref: 'refs/heads/main', steps: [] });
    remote.git('update-ref', '-d', 'refs/heads/main');
    expect(failureTypeOf(await thrownBy(compose({})))).toBe('RepositoryUnusable');
  });
});

test('what an attempt that died has left of merged lines is deleted at the end, and nothing else', async () => {
  const entry = workOn(remote, base, 'one', { one: 'one' });
  const first = await compose({ entries: [entry] });
  remote.git('update-ref', `${gateRefPrefix(target)}${base}`, base);
  remote.git('update-ref', `${gateRefPrefix('mainline')}${base}`, base);
  expect(remote.refs(gateRefPrefix(target))).toEqual([first.ref, `${gateRefPrefix(target)}${base}`].sort());
  await dropLines(mirror, target, undefined);
  expect(remote.refs('refs/agentswarm/')).toEqual([`${gateRefPrefix('mainline')}${base}`, entry.ref].sort());
  // A remote that cannot be asked is no reason to fail.
  const log = createTestLog();
  rmSync(remote.dir, { recursive: true });
  await dropLines(mirror, target, log);
  expect(log.lines).toMatchObject([{ level: 'warn', message: expect.stringContaining('left on the remote') }]);
});

describe('a line that has passed its gate', () => {
  const merged = async (name = 'one') => {
    const entry = workOn(remote, base, name, { [name]: name });
    return { entry, composed: await compose({ entries: [entry] }) };
  };

  test('lands as exactly the commit that was checked, and its refs are gone', async () => {
    const { entry, composed } = await merged();
    expect(await land(composed, [entry.ref, composed.ref, 'refs/heads/other'])).toEqual({
      kind: 'landed',
      tip: composed.commit,
    });
    expect(remote.tip()).toBe(composed.commit);
    expect(remote.git('for-each-ref', '--format=%(refname)', 'refs/agentswarm/')).toBe('');
  });

  test('does not land on a tip that it was not checked on', async () => {
    const { composed } = await merged();
    const theirs = remote.commit({ 'a.txt': 'person\n' });
    expect(await land(composed)).toEqual({ kind: 'overtaken' });
    expect(remote.tip()).toBe(theirs);
  });

  test('is found landed by an attempt that comes after one that was not heard of, on another host too', async () => {
    const { entry, composed } = await merged();
    await land(composed, [entry.ref, composed.ref]);
    const theirs = remote.commit({ 'a.txt': 'person\n' });
    const elsewhere = await mirrorOf(join(folder.dir, 'elsewhere'), remote.dir);
    for (const by of [mirror, elsewhere]) expect(await land(composed, [], by)).toEqual({ kind: 'landed', tip: theirs });
  });

  test('lands from another host than the one that merged it', async () => {
    const { composed } = await merged();
    const elsewhere = await mirrorOf(join(folder.dir, 'elsewhere'), remote.dir);
    expect(await land(composed, [], elsewhere)).toEqual({ kind: 'landed', tip: composed.commit });
  });

  test('a remote that refuses it is told apart from one that has moved', async () => {
    const { composed } = await merged();
    remote.hook('pre-receive', 'echo "the branch is closed on Sundays" >&2; exit 1');
    expect(await land(composed)).toMatchObject({
      kind: 'refused',
      reason: expect.stringContaining('closed on Sundays'),
    });
    expect(remote.tip()).toBe(base);
  });
});
