import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type LocalRepository, localPath, lookAtRepository } from '../../src/host/local-repository.ts';
import { bareRepository, gitIn, temporaryFolder } from '../support/repos.ts';

let folder: ReturnType<typeof temporaryFolder>;
let app: string;
let origin: string;
/** `origin.git`, and `app`, a clone of it with the folder `src`. */
beforeEach(() => {
  folder = temporaryFolder('agentswarm local ');
  origin = bareRepository(at('origin.git'), { 'README.md': '# app\n', 'src/a.txt': 'a\n', 'src/b.txt': 'b\n' }).dir;
  app = at('app');
  gitIn(folder.dir, ['clone', '--quiet', origin, app]);
});
afterEach(() => folder.remove());

const at = (...names: string[]) => join(folder.dir, ...names);
const write = (path: string, text = 'new\n') => writeFileSync(join(app, path), text);
const look = (path: string, env: Record<string, string> = {}) =>
  lookAtRepository(path, { env: { PATH: process.env.PATH, HOME: folder.dir, ...env } });
async function found(path: string, env?: Record<string, string>): Promise<LocalRepository> {
  const seen = await look(path, env);
  if (seen.kind !== 'repository') throw new Error(`${seen.why}. ${seen.remedy}`);
  return seen;
}
const clean = { files: 0, staged: 0, modified: 0, untracked: 0 };
const main = () => ({ branch: 'main', commit: gitIn(origin, ['rev-parse', 'main']) });

describe('what there is to know of a repository', () => {
  test('an ordinary one that is clean', async () => {
    expect(await found(app)).toEqual({
      kind: 'repository',
      root: app,
      gitDir: join(app, '.git'),
      bare: false,
      shallow: false,
      head: main(),
      workTree: { path: app, linked: false, folder: '', branch: 'main', changes: clean, drift: null },
      checkedOut: [{ branch: 'main', path: app }],
      remotes: [{ name: 'origin', url: origin }],
    });
  });

  test('uncommitted changes are counted by file, in the whole work tree also from a folder in it', async () => {
    write('README.md', 'staged\n');
    gitIn(app, ['add', '.']);
    write('README.md', 'staged, and changed since\n');
    rmSync(join(app, 'src/a.txt'));
    gitIn(app, ['mv', 'src/b.txt', 'src/c.txt']);
    mkdirSync(join(app, 'new folder'));
    write('new folder/one');
    write('new folder/two');
    const { workTree, root } = await found(join(app, 'src'));
    // A move is a file that went and one that came.
    const changes = { files: 6, staged: 3, modified: 2, untracked: 2 };
    expect({ root, workTree }).toMatchObject({ root: app, workTree: { path: app, folder: 'src', changes } });
  });

  test('a bare one', async () => {
    const seen = await found(origin);
    const facts = {
      root: origin,
      gitDir: origin,
      bare: true,
      head: main(),
      workTree: null,
      checkedOut: [],
      remotes: [],
    };
    expect(seen).toMatchObject(facts);
  });

  test('a bare one where the person lets git search for none', async () => {
    writeFileSync(at('.gitconfig'), '[safe]\n\tbareRepository = explicit\n');
    expect(await found(origin)).toMatchObject({ root: origin, bare: true });
  });

  test.each(['ordinary', 'bare'])('a linked work tree of one that is %s', async (kind) => {
    const root = kind === 'bare' ? origin : app;
    const tree = at('tree');
    gitIn(root, ['worktree', 'add', '--quiet', '-b', 'side', tree]);
    writeFileSync(join(tree, 'new'), 'new\n');
    write('unseen from there');
    const seen = await found(tree);
    expect(seen).toMatchObject({ root, bare: kind === 'bare', head: main() });
    expect(seen.workTree).toEqual({
      path: tree,
      linked: true,
      folder: '',
      branch: 'side',
      changes: { ...clean, files: 1, untracked: 1 },
      drift: null,
    });
    expect(seen.gitDir).toMatch(new RegExp(`worktrees/tree$`));
    const side = { branch: 'side', path: tree };
    expect(seen.checkedOut).toEqual(kind === 'bare' ? [side] : [{ branch: 'main', path: app }, side]);
  });

  test('one without a commit', async () => {
    gitIn(folder.dir, ['init', '--quiet', '--initial-branch=trunk', 'empty']);
    writeFileSync(at('empty/new'), 'new\n');
    expect(await found(at('empty'))).toMatchObject({
      head: { branch: 'trunk', commit: null },
      workTree: { branch: 'trunk', changes: { files: 1, untracked: 1 } },
    });
  });

  test('one whose HEAD is detached', async () => {
    gitIn(app, ['checkout', '--quiet', '--detach']);
    const { commit } = main();
    expect(await found(app)).toMatchObject({
      head: { branch: null, commit },
      workTree: { branch: null },
      checkedOut: [],
    });
  });

  test('a shallow clone, and its git folder', async () => {
    gitIn(app, ['commit', '--quiet', '--allow-empty', '--message=second']);
    gitIn(folder.dir, ['clone', '--quiet', '--depth=1', String(pathToFileURL(app)), 'shallow']);
    expect(await found(at('shallow'))).toMatchObject({ shallow: true });
    expect(await found(at('shallow/.git'))).toMatchObject({ shallow: true, root: at('shallow'), workTree: null });
  });

  test('how far its branch is from its upstream', async () => {
    gitIn(app, ['commit', '--quiet', '--allow-empty', '--message=here']);
    const other = gitIn(app, ['commit-tree', '-m', 'there', '-p', 'origin/main', 'main^{tree}']);
    gitIn(app, ['update-ref', 'refs/remotes/origin/main', other]);
    expect((await found(app)).workTree?.drift).toEqual({ upstream: 'origin/main', ahead: 1, behind: 1 });
  });

  test.each([
    ['https://user:hunter2@host/x.git', 'https://host/x.git'],
    ['https://host/x.git?private_token=hunter2', 'https://host/x.git'],
    ['short:x.git', 'https://host/x.git'],
    ['git@host:team/x.git', 'git@host:team/x.git'],
  ])('the remote %s without what is secret', async (url, shown) => {
    writeFileSync(at('.gitconfig'), '[url "https://hunter2@host/"]\n\tinsteadOf = short:\n');
    gitIn(app, ['remote', 'set-url', 'origin', url]);
    expect((await found(app)).remotes).toEqual([{ name: 'origin', url: shown }]);
  });
});

test('no program that the repository configures runs, and nothing in it is written', async () => {
  const ran = at('ran');
  const script = at('script');
  writeFileSync(script, `#!/bin/sh\necho "$0 $*" >> '${ran}'\ncat\n`);
  chmodSync(script, 0o755);
  mkdirSync(at('hooks'));
  for (const hook of ['post-index-change', 'reference-transaction', 'fsmonitor-watchman'])
    writeFileSync(at('hooks', hook), `#!/bin/sh\necho ${hook} >> '${ran}'\n`, { mode: 0o755 });
  const programs = ['filter.own.clean', 'filter.served.process', 'core.fsmonitor', 'core.pager', 'core.editor'];
  for (const key of [...programs, 'diff.external', 'core.sshCommand', 'core.askPass', 'pager.status'])
    gitIn(app, ['config', key, `'${script}'`]);
  gitIn(app, ['config', 'core.hooksPath', at('hooks')]);
  write('.gitattributes', 'src/a.txt filter=own\nsrc/b.txt filter=served\n');
  for (const file of ['src/a.txt', 'src/b.txt', 'README.md']) write(file, 'changed\n');
  const index = join(app, '.git/index');
  const before = statSync(index).mtimeMs;
  const seen = await found(app);
  // Those of a filter are not looked at.
  expect(seen.workTree?.changes).toEqual({ files: 2, staged: 0, modified: 1, untracked: 1 });
  expect(existsSync(ran)).toBe(false);
  expect(statSync(index).mtimeMs).toBe(before);
  // By hand they do run.
  gitIn(app, ['status', '--short']);
  expect(existsSync(ran)).toBe(true);

  gitIn(app, ['config', 'filter.no pathspec.clean', `'${script}'`]);
  rmSync(ran);
  expect((await found(app)).workTree?.changes).toBeNull();
  expect(existsSync(ran)).toBe(false);
});

test('a filter that the person configured runs, as with their own git status', async () => {
  writeFileSync(at('.gitconfig'), '[filter "mine"]\n\tclean = tr A-Z a-z\n');
  write('.git/info/attributes', '*.md filter=mine\n');
  write('README.md', '# APP\n');
  expect((await found(app)).workTree?.changes).toEqual(clean);
});

test('git of the environment leads to no other repository', async () => {
  const env = { GIT_DIR: origin, GIT_WORK_TREE: origin, GIT_INDEX_FILE: at('index'), GIT_EXEC_PATH: '/nonexistent' };
  expect(await found(app, env)).toMatchObject({ root: app, workTree: { changes: clean } });
});

describe('where there is none, or git does not read it', () => {
  test.each<[string, () => string, 'none' | 'unreadable', RegExp]>([
    ['nothing', () => at('nowhere'), 'none', /nowhere does not exist/],
    ['a file', () => join(app, 'README.md'), 'none', /README.md is a file/],
    ['an ordinary folder', () => at('.'), 'none', /is not a git repository/],
    [
      'a work tree whose repository has gone',
      () => {
        gitIn(app, ['worktree', 'add', '--quiet', '--detach', at('tree')]);
        renameSync(app, at('moved'));
        return at('tree');
      },
      'unreadable',
      /tree is a work tree of a repository that is not there any more/,
    ],
    [
      'one whose configuration is broken',
      () => {
        write('.git/config', '[core\n');
        return app;
      },
      'unreadable',
      /git cannot read .*app: fatal: bad config line 1/,
    ],
  ])('%s', async (_what, make, kind, why) => {
    const seen = await look(make());
    expect(seen).toMatchObject({ kind, why: expect.stringMatching(why), remedy: expect.stringMatching(/\.$/) });
  });

  test('a machine without git', async () => {
    expect(await look(app, { PATH: at('.') })).toMatchObject({
      kind: 'unreadable',
      why: 'There is no git on the PATH',
    });
  });

  test.skipIf(process.getuid?.() === 0)('one that this user may not read', async () => {
    chmodSync(app, 0o000);
    expect(await look(app)).toMatchObject({ kind: 'unreadable', why: expect.stringContaining('app') });
  });

  test.skipIf(process.getuid?.() !== 0)('one of another user, with the line that trusts it', async () => {
    chownSync(app, 4_321, 4_321);
    chownSync(join(app, '.git'), 4_321, 4_321);
    const seen = await look(app);
    expect(seen).toMatchObject({ kind: 'unreadable', why: expect.stringContaining('belongs to another user') });
    const remedy = seen.kind === 'repository' ? '' : seen.remedy.replace('If you trust it: ', '');
    gitIn(folder.dir, ['config', '--file', '.gitconfig', ...words(remedy).slice(3)]);
    expect(await found(app)).toMatchObject({ root: app });
  });
});

/** Of a line for the shell whose only quotes are around its last word. */
const words = (line: string): string[] => line.match(/'[^']*'|\S+/g)?.map((word) => word.replace(/^'|'$/g, '')) ?? [];

test.each([
  ['sub/../repo', '/here/repo'],
  ['/repo', '/repo'],
  ['~/repo', '/home/me/repo'],
  ['file:///a%20b/repo', '/a b/repo'],
  ['./host:x', '/here/host:x'],
  ['file://elsewhere/repo', null],
  ['file:///a%2Fb', null],
  ['https://host/x.git', null],
  ['git@host:x.git', null],
])('%s means the path %s', (named, path) =>
  expect(localPath(named, { cwd: '/here', env: { HOME: '/home/me' } })).toBe(path),
);
