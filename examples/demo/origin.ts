/** The repository that a demo works on: a bare origin with the example's starting files as one commit on main. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { simpleGit } from 'simple-git';
import type { Example } from '../scripted-model/example.ts';

/** Makes `dir`/origin.git and returns its path; one that is there already is left as it is. */
export function makeOrigin(example: Example, dir: string): string {
  const origin = join(dir, 'origin.git');
  if (existsSync(origin)) return origin;
  const seed = join(dir, 'seed');
  const unfinished = `${origin}.new`;
  for (const path of [seed, unfinished]) rmSync(path, { recursive: true, force: true });
  mkdirSync(seed, { recursive: true });
  cpSync(join(example.dir, 'repository'), seed, { recursive: true });
  cpSync(join(example.dir, 'SPEC.md'), join(seed, 'SPEC.md'));
  git(seed, 'init', '--quiet', '--initial-branch=main', '--template=');
  git(seed, 'add', '--all', '--force');
  git(seed, 'commit', '--quiet', '--message=The starting point and the spec');
  git(dir, 'clone', '--quiet', '--bare', '--template=', seed, unfinished);
  git(dir, '--git-dir', unfinished, 'remote', 'remove', 'origin');
  git(dir, '--git-dir', unfinished, 'config', 'gc.auto', '0');
  rmSync(seed, { recursive: true });
  renameSync(unfinished, origin);
  return origin;
}

/** A fresh clone of the origin's main in `dir`/clone; one of an earlier time is removed. */
export async function freshClone(origin: string, dir: string): Promise<string> {
  const clone = join(dir, 'clone');
  rmSync(clone, { recursive: true, force: true });
  await simpleGit(dir).clone(origin, clone, { '--branch': 'main' });
  return clone;
}

/** Commits of main after the first, newest first: hash and subject. */
export async function landedCommits(origin: string): Promise<string[]> {
  const said = await simpleGit(origin).raw('log', '--format=%h %s', '--max-parents=1', '--min-parents=1', 'main');
  return said.split('\n').filter((line) => line !== '');
}

/** The person's own git settings (signing, hooks, templates) have no say in a demo. */
function git(cwd: string, ...args: string[]): string {
  const settings = [
    'user.name=Demo',
    'user.email=demo@localhost',
    'commit.gpgsign=false',
    'core.hooksPath=/dev/null',
    'protocol.file.allow=always',
  ];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_')));
  const argv = [...settings.flatMap((setting) => ['-c', setting]), ...args];
  return execFileSync('git', argv, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}
