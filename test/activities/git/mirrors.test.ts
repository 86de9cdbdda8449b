import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { repositoryKey } from '../../../src/shared/base/ids.ts';
import { type GitHttpServer, serveGit } from '../../support/git-http.ts';
import { AUTHOR } from '../../support/merges.ts';
import { bareRepository, gitIn, type TestRepository, temporaryFolder } from '../../support/repos.ts';

let folder: ReturnType<typeof temporaryFolder>;
let server: GitHttpServer | undefined;
let remote: TestRepository;
beforeEach(() => {
  folder = temporaryFolder();
  remote = bareRepository(join(folder.dir, 'origin.git'));
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  folder.remove();
});

const dir = (): string => join(folder.dir, 'mirrors');
const mirrors = () => createMirrors({ dir: dir(), env: { PATH: process.env.PATH, HOME: folder.dir } });
const ref = (location: string) => ({ location, key: repositoryKey(location) });
const open = (location = remote.dir) => mirrors().open(ref(location));

describe('opening a mirror', () => {
  test('makes one bare folder per repository, whole, that never collects garbage', async () => {
    const mirror = await open();
    expect(gitIn(mirror.dir, ['rev-parse', '--is-bare-repository'])).toBe('true');
    expect(gitIn(mirror.dir, ['config', 'gc.auto'])).toBe('0');
    expect(gitIn(mirror.dir, ['cat-file', '-t', remote.tip()])).toBe('commit');
    expect(readdirSync(dir())).toEqual([mirror.dir.slice(dir().length + 1)]);
  });

  test('eighteen at once, from three that do not know each other, make one folder and leave nothing else', async () => {
    const hosts = [mirrors(), mirrors(), mirrors()];
    const opened = await Promise.all(
      [...hosts, ...hosts, ...hosts, ...hosts, ...hosts, ...hosts].map((host) => host.open(ref(remote.dir))),
    );
    expect(new Set(opened.map((mirror) => mirror.dir)).size).toBe(1);
    expect(readdirSync(dir()).length).toBe(1);
  });

  test('a repository that cannot be had leaves nothing behind, and can be opened once it is there', async () => {
    server = await serveGit(folder.dir);
    const late = server.url('late.git');
    const host = mirrors();
    await expect(host.open(ref(late))).rejects.toMatchObject({ name: 'GitError', kind: 'not-found' });
    server.faults = { status: { on: 'fetch', code: 503 } };
    await expect(host.open(ref(late))).rejects.toMatchObject({ kind: 'network' });
    expect(readdirSync(dir())).toEqual([]);
    server.faults = {};
    bareRepository(join(folder.dir, 'late.git'));
    expect((await host.open(ref(late))).repo.location).toBe(late);
  });

  test('what a killed worker left half made and locked is cleared away', async () => {
    const { dir: made } = await open();
    const name = made.slice(dir().length + 1);
    const host = join(folder.dir, 'other');
    mkdirSync(join(host, `${name}.new-1234`, 'objects'), { recursive: true });
    writeFileSync(join(host, `${name}.lock`), '999999\n');
    const old = new Date(Date.now() - 3_600_000);
    utimesSync(join(host, `${name}.lock`), old, old);
    await createMirrors({ dir: host }).open(ref(remote.dir));
    expect(readdirSync(host)).toEqual([name]);
  });

  test('SHA-256 repositories and empty ones are mirrored', async () => {
    const modern = bareRepository(join(folder.dir, 'modern.git'), { a: 'a' }, { objectFormat: 'sha256' });
    const mirror = await open(modern.dir);
    expect(await mirror.fetchBranch('main')).toBe(modern.tip());
    expect(modern.tip().length).toBe(64);
    const empty = bareRepository(join(folder.dir, 'empty.git'), null);
    expect(await (await open(empty.dir)).listRemoteRefs('refs/')).toEqual(new Map());
  });

  test('different repositories never share a folder, though their names read the same', async () => {
    const a = bareRepository(join(folder.dir, 'x', 'y.git'));
    const b = bareRepository(join(folder.dir, 'x-y.git'));
    const host = mirrors();
    expect((await host.open(ref(a.dir))).dir).not.toBe((await host.open(ref(b.dir))).dir);
  });
});

describe('branches of the remote', () => {
  test('a fetch brings the tip as it is now, also when the branch was rewritten', async () => {
    const mirror = await open();
    const tip = remote.commit({ a: 'a' });
    expect(await mirror.fetchBranch('main')).toBe(tip);
    const rewritten = remote.detached({ b: 'b' }, { parent: `${tip}^`, ref: 'refs/heads/main' });
    expect(await mirror.fetchBranch('main')).toBe(rewritten);
    expect(await mirror.readRemoteRef('refs/heads/main')).toBe(rewritten);
  });

  test('a fetch asked for after a push sees the push, though many fetches run at once', async () => {
    server = await serveGit(folder.dir);
    const mirror = await open(server.url('origin.git'));
    for (let i = 0; i < 3; i++) {
      const early = Array.from({ length: 10 }, () => mirror.fetchBranch('main'));
      const tip = remote.commit({ [`f${i}`]: 'x' });
      const late = Array.from({ length: 10 }, () => mirror.fetchBranch('main'));
      expect(new Set(await Promise.all(late))).toEqual(new Set([tip]));
      await Promise.all(early);
    }
    const fetches = server.requests.filter(({ line }) => line.includes('info/refs')).length;
    // Without sharing it would be 60 and more.
    expect(fetches).toBeLessThan(20);
  });

  test('a fetch asked for when another one has read the branch already reads it again', async () => {
    server = await serveGit(folder.dir);
    const mirror = await open(server.url('origin.git'));
    const early = remote.commit({ early: 'x' });
    let tip = '';
    let late: Promise<string> | undefined;
    let posts = 0;
    server.beforeFetch = async (method) => {
      // The first is for the refs, the second for the objects.
      if (method !== 'POST' || ++posts !== 2) return;
      tip = remote.commit({ late: 'x' });
      late = mirror.fetchBranch('main');
      await sleep(200);
    };
    expect(await mirror.fetchBranch('main')).toBe(early);
    expect(await late).toBe(tip);
    expect(tip).toBe(remote.tip());
  });

  test('a branch that became a folder of branches is fetched', async () => {
    remote.commit({ a: 'a' }, { branch: 'topic' });
    const mirror = await open();
    await mirror.fetchBranch('topic');
    remote.git('update-ref', '-d', 'refs/heads/topic');
    const below = remote.commit({ b: 'b' }, { branch: 'topic/below' });
    expect(await mirror.fetchBranch('topic/below')).toBe(below);
  });

  test('a missing branch is not found, and a name that git forbids is bad input', async () => {
    const mirror = await open();
    await expect(mirror.fetchBranch('nope')).rejects.toMatchObject({ kind: 'not-found' });
    expect(await mirror.readRemoteRef('refs/heads/nope')).toBeNull();
    for (const name of ['--upload-pack=x', 'a b', 'a..b', '', 'HEAD', 'x.lock']) {
      await expect(mirror.fetchBranch(name), name).rejects.toMatchObject({ type: 'BadInput' });
    }
  });

  test('a fetch goes on past a lock that another process holds for a moment, and one left behind long ago', async () => {
    const mirror = await open();
    await mirror.fetchBranch('main');
    const lock = join(mirror.dir, 'refs', 'tips', 'main.lock');
    writeFileSync(lock, '');
    const old = new Date(Date.now() - 3_600_000);
    utimesSync(lock, old, old);
    const tip = remote.commit({ a: 'a' });
    expect(await mirror.fetchBranch('main')).toBe(tip);
  });
});

describe('work on the remote', () => {
  test('is pushed under its ref whatever that had, listed, fetched by another host, and deleted', async () => {
    server = await serveGit(folder.dir);
    const mirror = await open(server.url('origin.git'));
    const base = await mirror.fetchBranch('main');
    const tree = await mirror.treeOf(base);
    const work = await mirror.commitTree({ tree, parents: [base], message: 'work\n', author: AUTHOR });
    const other = await mirror.commitTree({ tree, parents: [], message: 'unrelated\n', author: AUTHOR });
    const name = 'refs/agentswarm/runs/r/a.1';
    await mirror.pushWork(other, name);
    await mirror.pushWork(work, name);
    await mirror.pushWork(other, 'refs/agentswarm/runs/r2/a.1');
    expect(await mirror.listRemoteRefs('refs/agentswarm/runs/r/')).toEqual(new Map([[name, work]]));

    const elsewhere = await createMirrors({ dir: join(folder.dir, 'other') }).open(ref(remote.dir));
    await elsewhere.ensureCommit(work, name);
    expect(await elsewhere.mergeBase(base, work)).toBe(base);
    expect(await elsewhere.mergeBase(base, other).catch(() => 'missing')).toBe('missing');
    await expect(elsewhere.ensureCommit('a'.repeat(40), name)).rejects.toThrow(/does not contain commit aaaa/);

    await mirror.deleteRemoteRefs([name, 'refs/agentswarm/runs/r/never-there']);
    await mirror.deleteRemoteRefs([name]);
    expect(remote.refs('refs/agentswarm')).toEqual(['refs/agentswarm/runs/r2/a.1']);
  });

  test('never goes to a branch, and object names are never options', async () => {
    const mirror = await open();
    const tip = await mirror.fetchBranch('main');
    await expect(mirror.pushWork(tip, 'refs/heads/main')).rejects.toThrow(/compare-and-swap/);
    await expect(mirror.pushWork('--mirror', 'refs/agentswarm/x')).rejects.toThrow(/hex digits/);
    await expect(mirror.treeOf('HEAD')).rejects.toThrow(/hex digits/);
  });

  test('changed files are named as they are, a rename as both of its paths', async () => {
    const from = remote.commit({ 'a b': 'x\n', '→"\n': 'x\n' });
    const to = remote.commit({ 'a b': null, 'c\td': 'x\n', '→"\n': 'y\n' });
    const mirror = await open();
    expect((await mirror.changedFiles(from, to)).sort()).toEqual(['a b', 'c\td', '→"\n'].sort());
  });
});
