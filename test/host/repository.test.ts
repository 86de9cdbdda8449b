import { chownSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { repositoryOf } from '../../src/host/repository.ts';
import { bareRepository, gitIn, temporaryFolder } from '../support/repos.ts';
import { thrownBy } from '../support/thrown.ts';

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());
const env = () => ({ PATH: process.env.PATH, HOME: folder.dir });
const check = (location: string) => repositoryOf(location, { env: env() });

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
    ['file:///x.git?y', 'query'],
    ['file:///a%2Fb.git', 'not the URL of a path'],
    ['git+ssh://host/x.git', 'protocol git\\+ssh'],
    ['[host:22]:x.git', 'neither'],
    ['~/x', 'neither'],
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
    const expected = { repo: { location: dir, key: dir }, kind: 'bare', checkedOut: [] };
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

describe('one repository has one identity, by whatever it is named', () => {
  const ordinary = (name: string, ...init: string[]): string => {
    gitIn(folder.dir, ['init', '--quiet', '--initial-branch=main', ...init, name]);
    const dir = join(folder.dir, name);
    gitIn(dir, ['commit', '--quiet', '--allow-empty', '-m', 'x']);
    return dir;
  };
  const linked = (dir: string, name: string): string => {
    gitIn(dir, ['worktree', 'add', '--quiet', '-b', `branch-of-${name}`, join(folder.dir, name)]);
    return join(folder.dir, name);
  };
  const layouts: Record<string, () => { is: string; names: string[] }> = {
    'an ordinary repository': () => {
      const dir = ordinary('app');
      linked(dir, 'app-wt');
      symlinkSync(dir, join(folder.dir, 'link'));
      symlinkSync('app-wt', join(folder.dir, 'link-wt'));
      const own = ['app', './app', 'app/', 'app//', 'app-wt/../app', 'app/.git', 'app/.git/', 'link', 'link/.git'];
      const other = ['app-wt', 'app-wt/', 'link-wt', 'app/.git/worktrees/app-wt', '~/app', '~/app-wt'];
      return { is: dir, names: [...own, ...other] };
    },
    'a bare repository with linked work trees': () => {
      const { dir } = bareRepository(join(folder.dir, 'app.git'));
      linked(dir, 'tree');
      return { is: dir, names: ['app.git', 'app.git/', 'tree', 'app.git/worktrees/tree', '~/app.git'] };
    },
    'a bare repository behind the .git file of a folder with its work trees': () => {
      mkdirSync(join(folder.dir, 'app'));
      const { dir } = bareRepository(join(folder.dir, 'app/.bare'));
      writeFileSync(join(folder.dir, 'app/.git'), 'gitdir: ./.bare\n');
      linked(dir, 'app/tree');
      return { is: dir, names: ['app', 'app/.bare', 'app/tree'] };
    },
    'a repository with its git folder elsewhere (--separate-git-dir)': () => {
      const dir = ordinary('work', `--separate-git-dir=${join(folder.dir, 'store')}`);
      linked(dir, 'tree');
      return { is: join(folder.dir, 'store'), names: ['work', 'store', 'store/', 'tree'] };
    },
    'a repository whose .git is a symbolic link': () => {
      const dir = ordinary('work');
      renameSync(join(dir, '.git'), join(folder.dir, 'store'));
      symlinkSync('../store', join(dir, '.git'));
      return { is: join(folder.dir, 'store'), names: ['work', 'work/.git', 'store'] };
    },
    'a name with a space, a percent sign and a hash': () => {
      const dir = ordinary('a b%20#c');
      return { is: dir, names: ['a b%20#c'] };
    },
    'a name that looks like host:path': () => ({ is: ordinary('host:app'), names: ['host:app'] }),
  };

  test.each(Object.keys(layouts))('%s', async (layout) => {
    const { is, names } = layouts[layout]?.() ?? { is: '', names: [] };
    const at = (name: string) => join(folder.dir, name.replace(/^~\//, ''));
    const urls = names.map((name) => String(pathToFileURL(at(name))));
    const all = [...names, ...names.map(at), ...urls, ...urls.map((url) => url.replace('file://', 'FILE://localhost'))];
    for (const name of all) {
      const found = await repositoryOf(name, { cwd: folder.dir, env: env() });
      expect(found.repo, name).toEqual({ location: is, key: is });
      expect(await check(found.repo.location), name).toEqual(found);
    }
  });

  test('a bare repository and its clone beside it are two', async () => {
    const { dir } = bareRepository(join(folder.dir, 'app.git'));
    gitIn(folder.dir, ['clone', '--quiet', dir, 'app']);
    const [bare, clone] = await Promise.all([check(dir), check(join(folder.dir, 'app'))]);
    expect(bare.repo.key).not.toBe(clone.repo.key);
  });

  test('variables of a hook that calls the command, and a guard against bare repositories, lead nowhere else', async () => {
    const dir = ordinary('app');
    const { dir: bare } = bareRepository(join(folder.dir, 'bare.git'));
    writeFileSync(join(folder.dir, '.gitconfig'), '[safe]\n\tbareRepository = explicit\n');
    const within = { ...env(), GIT_DIR: bare, GIT_WORK_TREE: '/', GIT_COMMON_DIR: bare };
    expect((await repositoryOf('app', { cwd: folder.dir, env: within })).repo.location).toBe(dir);
    expect((await check(bare)).repo.location).toBe(bare);
  });

  test('of what a person types, only a path that exists is a path', async () => {
    const named = (name: string) => repositoryOf(name, { cwd: folder.dir, env: env() });
    expect((await named('host:team/x')).repo).toEqual({ location: 'host:team/x', key: 'host/team/x' });
    const nowhere = await thrownBy(named('nowhere'));
    expect(nowhere.type).toBe('BadInput');
    expect(nowhere.message).toContain(`neither a URL nor a path: ${join(folder.dir, 'nowhere')} does not exist`);
    expect((await thrownBy(named('~/nowhere'))).message).toContain(`${join(folder.dir, 'nowhere')} cannot be opened`);
  });
});

describe('paths without a usable repository', () => {
  test('a missing path, a plain folder and a folder inside a repository say what to do', async () => {
    const plain = join(folder.dir, 'plain');
    mkdirSync(plain);
    const dir = join(folder.dir, 'ordinary');
    mkdirSync(join(dir, 'sub'), { recursive: true });
    gitIn(dir, ['init', '--quiet']);
    const { dir: bare } = bareRepository(join(folder.dir, 'bare.git'));
    for (const [path, message] of [
      [join(folder.dir, 'nope'), /cannot be opened \(ENOENT\)/],
      [plain, /is not a git repository/],
      [join(dir, '.git/refs'), /is a folder inside a repository\nName the repository: .*ordinary/],
      [join(bare, 'refs'), /is a folder inside a repository\nName the repository: .*bare\.git/],
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
    const own = join(folder.dir, 'own-configuration');
    writeFileSync(own, `[safe]\n\tdirectory = ${dir}\n`);
    const trusted = await repositoryOf(dir, { env: { ...env(), GIT_CONFIG_GLOBAL: own } });
    expect(trusted.repo.location).toBe(dir);
  });
});
