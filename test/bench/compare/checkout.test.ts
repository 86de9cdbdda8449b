import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Checkouts, createCheckouts } from '../../../bench/compare/checkout.ts';
import { createRunner, type Runner } from '../../../bench/compare/runner.ts';

let folder: string;
let root: string;
let runner: Runner;
let checkouts: Checkouts;

/** What a set-up is run with is written down; as npm does, it writes into the list of what is installed. */
const SET_UP = `
  import { appendFileSync, writeFileSync } from 'node:fs';
  writeFileSync('set-up.json', JSON.stringify({ cwd: process.cwd(), argv: process.argv.slice(2), env: process.env }));
  try { appendFileSync('node_modules/.package-lock.json', ' '); } catch {}
`;

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const git = (...argv: string[]): string =>
  execFileSync('git', ['-c', 'user.name=Test', '-c', 'user.email=test@localhost', ...argv], {
    cwd: root,
    encoding: 'utf8',
  }).trim();

function commit(): string {
  git('add', '.');
  git('commit', '--quiet', '--allow-empty', '-m', 'Next');
  return git('rev-parse', '--short', 'HEAD');
}

const LOCK = JSON.stringify({ packages: { '': {}, 'node_modules/a': { version: '1.0.0', integrity: 'sha' } } });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'checkout-'));
  root = join(folder, 'root');
  mkdirSync(root);
  git('init', '--quiet', '-b', 'main');
  write('.gitignore', 'node_modules\n');
  write('package-lock.json', LOCK);
  write('infra/setup/main.mjs', SET_UP);
  write('bench/main.ts', '');
  write('node_modules/.package-lock.json', LOCK);
  write('node_modules/a/index.js', 'a');
  runner = createRunner({ mark: `TMPDIR=${join(folder, 't')}`, signal: new AbortController().signal }, null);
  const options = { root, folder: join(folder, 'beside'), temporary: join(folder, 't'), runner, say: () => undefined };
  checkouts = createCheckouts(options);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await runner.close();
  rmSync(folder, { recursive: true, force: true });
});

const setUpOf = (dir: string) =>
  JSON.parse(readFileSync(join(dir, 'set-up.json'), 'utf8')) as { cwd: string; argv: string[]; env: NodeJS.ProcessEnv };

test('with the same lockfile a checkout has the packages of this one by hard links, and npm’s list for itself', async () => {
  const name = commit();
  const { root: dir } = await checkouts.beside(name);
  expect(setUpOf(dir)).toMatchObject({ cwd: dir, argv: ['setup'] });
  expect(statSync(join(dir, 'node_modules/a/index.js')).ino).toBe(statSync(join(root, 'node_modules/a/index.js')).ino);
  expect(readFileSync(join(dir, 'node_modules/.package-lock.json'), 'utf8')).toBe(`${LOCK} `);
  expect(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8')).toBe(LOCK);
});

test('with another lockfile, or with packages here that are not those of the lockfile, its set-up installs them', async () => {
  const first = commit();
  appendFileSync(join(root, 'package-lock.json'), '\n');
  expect(existsSync(join((await checkouts.beside(first)).root, 'node_modules'))).toBe(false);
  const second = commit();
  write('node_modules/.package-lock.json', '{"packages":{}}');
  expect(existsSync(join((await checkouts.beside(second)).root, 'node_modules'))).toBe(false);
});

test('a set-up and a benchmark get a person’s settings of npm, and not the folder that npm runs in', async () => {
  vi.stubEnv('npm_config_local_prefix', root);
  vi.stubEnv('npm_package_json', join(root, 'package.json'));
  vi.stubEnv('INIT_CWD', root);
  vi.stubEnv('npm_config_cache', '/a/cache');
  const checkout = await createCheckouts({
    root,
    folder: join(folder, 'other'),
    temporary: join(folder, 't'),
    runner,
    say: () => undefined,
  }).beside(commit());
  const { env } = setUpOf(checkout.root);
  expect(env).toMatchObject({ npm_config_cache: '/a/cache', TMPDIR: join(folder, 't') });
  expect(Object.keys(env).filter((key) => /local_prefix|npm_package|INIT_CWD/.test(key))).toEqual([]);
});

test('a benchmark runs with the Node, the packages and the folder of its checkout', async () => {
  const checkout = await checkouts.beside(commit());
  const { argv, cwd, env } = checkouts.bench(checkout, ['overhead', '--agents', '2']);
  const modules = join(checkout.root, 'node_modules');
  expect(cwd).toBe(checkout.root);
  expect(argv).toEqual([join(modules, 'node/bin/node'), join(cwd, 'bench/main.ts'), 'overhead', '--agents', '2']);
  expect(env.PATH?.split(':').slice(0, 2)).toEqual([join(modules, 'node/bin'), join(modules, '.bin')]);
});

test('a commit by any of its names is one checkout; what is removed is no worktree any more', async () => {
  const name = commit();
  const [one, other] = [await checkouts.beside(name), await checkouts.beside('HEAD')];
  expect(other).toEqual(one);
  expect(checkouts.here().name).toBe(`this checkout (${name})`);
  write('bench/main.ts', 'changed');
  expect(checkouts.here().name).toBe(`this checkout (${name}, with changes that are not committed)`);
  checkouts.remove();
  expect(existsSync(one.root)).toBe(false);
  expect(git('worktree', 'list')).not.toContain('beside');
});

test('a commit without benchmarks, a set-up that fails and a name that is no commit are said with what to do', async () => {
  rmSync(join(root, 'bench'), { recursive: true });
  await expect(checkouts.beside(commit())).rejects.toThrow(/has no set-up or no benchmarks\n.*later commit/);
  write('bench/main.ts', '');
  write('infra/setup/main.mjs', 'console.error("no bubblewrap here"); process.exit(1);');
  await expect(checkouts.beside(commit())).rejects.toThrow(
    /the set-up of \w+: it exited with 1:\n.*no bubblewrap here/,
  );
  await expect(checkouts.beside('--all')).rejects.toThrow(/"--all" is not a commit/);
  await expect(checkouts.beside('HEAD:bench')).rejects.toThrow(/is not a commit/);
});
