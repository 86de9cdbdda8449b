import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createBranch, nearestFirst, resolveBase } from '../../../src/activities/git/refs.ts';
import { pushBranch } from '../../../src/activities/git/push.ts';
import { type GitHttpServer, serveGit } from '../../support/git-http.ts';
import { mirrorOf } from '../../support/merges.ts';
import { bareRepository, type TestRepository, temporaryFolder } from '../../support/repos.ts';
import { thrownBy } from '../../support/thrown.ts';

let folder: ReturnType<typeof temporaryFolder>;
let server: GitHttpServer | undefined;
let remote: TestRepository;
beforeEach(() => {
  folder = temporaryFolder();
  remote = bareRepository(join(folder.dir, 'origin.git'), { a: 'a' }, { branch: 'trunk' });
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  folder.remove();
});
const open = () => mirrorOf(folder.dir, remote.dir);

describe('resolveBase', () => {
  test('takes the remote’s HEAD by default, whatever it is called, as it is now', async () => {
    const mirror = await open();
    const tip = remote.commit({ b: 'b' });
    expect(await resolveBase(mirror)).toEqual({ commit: tip, branch: 'trunk' });
    remote.git('update-ref', '--no-deref', 'HEAD', `${tip}^`);
    expect(await resolveBase(mirror)).toEqual({ commit: remote.git('rev-parse', `${tip}^`), branch: null });
  });

  test('takes a branch, a full ref, a tag (peeled) and a commit', async () => {
    const mirror = await open();
    const commit = remote.commit({ b: 'b' }, { branch: 'feature/x' });
    remote.git('-c', 'user.name=a', '-c', 'user.email=a', 'tag', '-a', '-m', 'v1', 'v1', commit);
    expect(await resolveBase(mirror, 'feature/x')).toEqual({ commit, branch: 'feature/x' });
    expect(await resolveBase(mirror, 'refs/heads/feature/x')).toEqual({ commit, branch: 'feature/x' });
    expect(await resolveBase(mirror, 'v1')).toEqual({ commit, branch: null });
    expect(await resolveBase(mirror, commit)).toEqual({ commit, branch: null });
  });

  test('says which branches there are when one is missing, the likeliest first', async () => {
    remote.commit({ b: 'b' }, { branch: 'release-2' });
    remote.commit({ b: 'b' }, { branch: 'abc' });
    const error = await thrownBy(resolveBase(await open(), 'relaese-2'));
    expect(error.type).toBe('RepositoryUnusable');
    expect(error.message).toMatch(/no branch or tag "relaese-2"\n.*it has release-2, /);
    await expect(resolveBase(await open(), 'e'.repeat(40))).rejects.toMatchObject({ type: 'RepositoryUnusable' });
    await expect(resolveBase(await open(), '--all')).rejects.toMatchObject({ type: 'BadInput' });
  });

  test('an empty repository says that it wants a first commit', async () => {
    const empty = bareRepository(join(folder.dir, 'empty.git'), null);
    const mirror = await mirrorOf(folder.dir, empty.dir);
    await expect(resolveBase(mirror)).rejects.toThrow(/no branch yet.*\n.*first commit/);
  });
});

test('the nearest names come first', () => {
  expect(nearestFirst('mian', ['zebra', 'main', 'x'])[0]).toBe('main');
  expect(nearestFirst('', ['b', 'a'])).toEqual(['a', 'b']);
});

describe('createBranch', () => {
  test('makes a branch once and leaves it as it is afterwards', async () => {
    const mirror = await open();
    const base = remote.tip('trunk');
    expect(await createBranch(mirror, 'agentswarm/run-1', base)).toEqual({ created: true, tip: base });
    const moved = remote.commit({ c: 'c' }, { branch: 'agentswarm/run-1' });
    expect(await createBranch(mirror, 'agentswarm/run-1', base)).toEqual({ created: false, tip: moved });
    expect(remote.tip('agentswarm/run-1')).toBe(moved);
  });

  test('leaves alone what somebody else makes at the same moment', async () => {
    server = await serveGit(folder.dir);
    const mirror = await mirrorOf(folder.dir, server.url('origin.git'));
    const base = remote.tip('trunk');
    let theirs = '';
    server.beforePush = () => {
      theirs = remote.commit({ t: 't' }, { branch: 'new' });
    };
    expect(await createBranch(mirror, 'new', base)).toEqual({ created: false, tip: theirs });
    expect(remote.tip('new')).toBe(theirs);
  });

  test('a refusal is terminal and has the remote’s words', async () => {
    remote.hook('update', 'echo "branches are made by Ada" >&2; exit 1');
    const error = await thrownBy(createBranch(await open(), 'new', remote.tip('trunk')));
    expect(error.type).toBe('PushRefused');
    expect(error.message).toContain('branches are made by Ada');
    await expect(createBranch(await open(), 'a b', remote.tip('trunk'))).rejects.toMatchObject({ type: 'BadInput' });
  });

  test('a dropped connection is no refusal: it is thrown as it is, and tried again', async () => {
    server = await serveGit(folder.dir);
    const mirror = await mirrorOf(folder.dir, server.url('origin.git'));
    server.faults = { drop: 'before' };
    await expect(createBranch(mirror, 'new', remote.tip('trunk'))).rejects.toMatchObject({ kind: 'network' });
    server.faults = { drop: 'after' };
    expect(await createBranch(mirror, 'new', remote.tip('trunk'))).toMatchObject({ tip: remote.tip('trunk') });
  });
});

describe('pushBranch', () => {
  test('moves a branch only forward, and only from the commit that was read', async () => {
    const mirror = await open();
    const old = remote.tip('trunk');
    const tip = remote.commit({ b: 'b' }, { branch: 'trunk' });
    await mirror.fetchBranch('trunk');
    await expect(pushBranch(mirror, { branch: 'trunk', expected: tip, next: old })).rejects.toThrow(
      /only moves forward/,
    );
    expect(await pushBranch(mirror, { branch: 'trunk', expected: old, next: tip })).toEqual({
      kind: expect.stringMatching(/pushed|stale/),
    });
    const next = await mirror.commitTree({
      tree: await mirror.treeOf(tip),
      parents: [old],
      message: 'x',
      author: { name: 'a', email: 'a' },
    });
    expect(await pushBranch(mirror, { branch: 'trunk', expected: old, next })).toEqual({ kind: 'stale' });
    expect(remote.tip('trunk')).toBe(tip);
  });

  test('leaves a branch alone that was taken back since it was read, or deleted', async () => {
    const mirror = await open();
    const [old, tip] = [remote.tip('trunk'), remote.commit({ b: 'b' }, { branch: 'trunk' })];
    const expected = await mirror.fetchBranch('trunk');
    const next = remote.detached({ c: 'c' }, { parent: tip, ref: 'refs/agentswarm/next' });
    await mirror.ensureCommit(next, 'refs/agentswarm/next');
    remote.git('update-ref', 'refs/heads/trunk', old);
    expect(await pushBranch(mirror, { branch: 'trunk', expected, next })).toEqual({ kind: 'stale' });
    expect(remote.tip('trunk')).toBe(old);
    remote.git('update-ref', '-d', 'refs/heads/trunk');
    expect(await pushBranch(mirror, { branch: 'trunk', expected, next })).toEqual({ kind: 'stale' });
    expect(remote.refs('refs/heads')).toEqual([]);
  });

  test('makes no branch over one that is there, also not one that contains it', async () => {
    const mirror = await open();
    const [old, next] = [remote.tip('trunk'), remote.commit({ b: 'b' }, { branch: 'other' })];
    await mirror.fetchBranch('other');
    expect(await pushBranch(mirror, { branch: 'trunk', expected: null, next })).toEqual({ kind: 'stale' });
    expect(remote.tip('trunk')).toBe(old);
  });
});
