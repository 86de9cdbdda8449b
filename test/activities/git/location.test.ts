import { chownSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { validateLocation } from '../../../src/activities/git/location.ts';
import { createGit } from '../../../src/activities/git/run-git.ts';
import { bareRepository, gitIn, temporaryFolder } from '../../support/repos.ts';
import { thrownBy } from '../../support/thrown.ts';

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());
const check = (location: string) =>
  validateLocation(location, createGit({ env: { PATH: process.env.PATH, HOME: folder.dir } }));

describe('locations that are refused as bad input', () => {
  test.each([
    ['', 'is empty'],
    ['--upload-pack=touch /tmp/x', 'looks like an option'],
    ['https://host/x\n.git', 'control characters'],
    [' https://host/x', 'spaces around'],
    ['ext::sh -c id', 'transport helper'],
    ['fd::17', 'transport helper'],
    ['git://host/x.git', 'protocol git'],
    ['ftp://host/x.git', 'protocol ftp'],
    ['https://user@host/x.git', 'user-info'],
    ['https://user:secret-pw@host/x.git', 'user-info'],
    ['ssh://git:secret-pw@host/x.git', 'user-info'],
    ['https://host/x.git?private_token=abc', 'query'],
    ['https://host', 'no path'],
    ['ssh://-oProxyCommand=x/y', 'host|not a URL'],
    ['-oProxyCommand=x:y', 'option'],
    ['host:-x', 'neither'],
    ['relative/path', 'neither'],
    ['../x', 'neither'],
    ['file://elsewhere/x.git', 'another host'],
  ])('%j', async (location, why) => {
    const error = await thrownBy(check(location));
    expect(error.type).toBe('BadInput');
    expect(error.message).toMatch(new RegExp(why));
    expect(error.message).not.toContain('secret-pw');
    expect(error.nonRetryable).toBe(true);
  });
});

describe('locations that are taken', () => {
  test.each([
    ['https://Host.example/Acme/x.git', 'host.example/Acme/x'],
    ['http://127.0.0.1:8080/x.git', '127.0.0.1:8080/x'],
    ['ssh://git@host/acme/x.git', 'host/acme/x'],
    ['git@host:acme/x.git', 'host/acme/x'],
    ['host:/srv/x.git', 'host/srv/x'],
  ])('%s', async (location, key) => {
    expect(await check(location)).toEqual({ repo: { location, key }, kind: 'url', checkedOut: [] });
  });

  test('a bare repository by path, by link and by file URL is one and the same', async () => {
    const { dir } = bareRepository(join(folder.dir, 'x.git'));
    symlinkSync(dir, join(folder.dir, 'link'));
    const expected = { repo: { location: dir, key: dir.replace(/\.git$/, '') }, kind: 'bare', checkedOut: [] };
    expect(await check(dir)).toEqual(expected);
    expect(await check(join(folder.dir, 'link'))).toEqual(expected);
    expect(await check(`file://${dir}`)).toEqual(expected);
  });

  test('an ordinary repository tells what it and its work trees have checked out', async () => {
    const dir = join(folder.dir, 'ordinary');
    mkdirSync(dir);
    gitIn(dir, ['init', '--quiet', '--initial-branch=main']);
    gitIn(dir, ['commit', '--quiet', '--allow-empty', '-m', 'x']);
    gitIn(dir, ['worktree', 'add', '--quiet', '-b', 'side/y', join(folder.dir, 'tree')]);
    const expected = { repo: { location: dir, key: dir }, kind: 'ordinary', checkedOut: ['main', 'side/y'] };
    expect(await check(dir)).toEqual(expected);
    expect(await check(join(folder.dir, 'tree'))).toEqual(expected);
    gitIn(dir, ['checkout', '--quiet', '--detach']);
    expect((await check(dir)).checkedOut).toEqual(['side/y']);
  });
});

describe('paths without a usable repository', () => {
  test('a missing path, a plain folder and a folder inside a repository say what to do', async () => {
    const plain = join(folder.dir, 'plain');
    mkdirSync(plain);
    const dir = join(folder.dir, 'ordinary');
    mkdirSync(join(dir, 'sub'), { recursive: true });
    gitIn(dir, ['init', '--quiet']);
    for (const [path, message] of [
      [join(folder.dir, 'nope'), /cannot be opened \(ENOENT\)/],
      [plain, /is not a git repository/],
      [join(dir, 'sub'), /is a folder inside a repository\nName the repository: .*ordinary/],
    ] as const) {
      const error = await thrownBy(check(path));
      expect(error.type).toBe('RepositoryUnusable');
      expect(error.message).toMatch(message);
    }
  });

  test.skipIf(process.getuid?.() !== 0)('one of another user says how to trust it', async () => {
    const { dir } = bareRepository(join(folder.dir, 'x.git'));
    chownSync(dir, 4_321, 4_321);
    await expect(check(dir)).rejects.toThrow(/another user.*\n.*safe\.directory/);
  });
});
