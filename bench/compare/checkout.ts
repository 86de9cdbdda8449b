/** Checkouts of commits beside this one, each set up with its own packages, in a temporary folder. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { StepError } from '../../infra/lib/step-error.mjs';
import { outsidePath, staleReason } from '../../infra/setup/npm.mjs';
import type { Command, Runner } from './runner.ts';

export type Checkout = {
  /** As it is called in what is printed: "7205223" or "this checkout (7205223, with changes)". */
  name: string;
  root: string;
};

export type Checkouts = {
  /** This checkout, as it is. */
  here(): Checkout;
  /** Checks a commit out beside, and sets it up. @throws StepError where one of the two fails */
  beside(commit: string): Promise<Checkout>;
  /** The command that runs a benchmark of a checkout. */
  bench(checkout: Checkout, args: readonly string[]): Command;
  remove(): void;
};

/** @param options `root` of this checkout; `folder` is temporary: worktrees come into it; `temporary`: TMPDIR of all commands */
export function createCheckouts(options: {
  root: string;
  folder: string;
  temporary: string;
  runner: Runner;
  say: (line: string) => void;
}): Checkouts {
  const { root, folder, temporary, runner, say } = options;
  const added: string[] = [];
  const env = { ...environment(root), TMPDIR: temporary };
  return {
    here() {
      const changes = git(root, 'status', '--porcelain').trim() === '' ? '' : ', with changes that are not committed';
      return { name: `this checkout (${short(root, 'HEAD')}${changes})`, root };
    },
    async beside(commit) {
      const name = short(root, commit);
      const dir = join(folder, name);
      if (!added.includes(dir)) {
        added.push(dir);
        git(root, '-c', 'core.hooksPath=/dev/null', 'worktree', 'add', '--quiet', '--detach', '--force', dir, name);
        await setUp({ root, dir, name, env, runner, say });
      }
      return { name, root: dir };
    },
    bench(checkout, args) {
      const modules = join(checkout.root, 'node_modules');
      const node = join(modules, 'node', 'bin', 'node');
      const path = [dirname(node), join(modules, '.bin'), env.PATH].join(delimiter);
      const argv = [node, join(checkout.root, 'bench', 'main.ts'), ...args];
      return { argv, cwd: checkout.root, env: { ...env, PATH: path } };
    },
    remove() {
      for (const dir of added) rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
      if (added.length > 0) git(root, 'worktree', 'prune');
    },
  };
}

/** @throws StepError where the name is no commit of this repository */
function short(root: string, commit: string): string {
  try {
    const sha = git(root, 'rev-parse', '--verify', '--quiet', '--end-of-options', `${commit}^{commit}`).trim();
    return git(root, 'rev-parse', '--short', sha).trim();
  } catch (error) {
    throw new StepError(
      'the commit',
      `"${commit}" is not a commit of the repository in ${root}`,
      'name one that `git log` shows; where the clone is shallow, fetch more of it first (`git fetch --unshallow`).',
      error,
    );
  }
}

type SetUp = {
  root: string;
  dir: string;
  name: string;
  env: NodeJS.ProcessEnv;
  runner: Runner;
  say: (line: string) => void;
};

async function setUp({ root, dir, name, env, runner, say }: SetUp): Promise<void> {
  const main = join(dir, 'infra', 'setup', 'main.mjs');
  if (!existsSync(main) || !existsSync(join(dir, 'bench', 'main.ts'))) {
    throw new StepError('the commit', `${name} has no set-up or no benchmarks`, 'compare with a later commit.');
  }
  const lockfile = (of: string) => readFileSync(join(of, 'package-lock.json'), 'utf8');
  const same = lockfile(root) === lockfile(dir) && staleReason(root) === null;
  say(`setting up ${name}${same ? ', with the packages of this checkout' : ' (npm ci: its lockfile is another one)'}`);
  if (same) await copyPackages({ root, dir, env, runner });
  const { code, end } = await runner.run({ argv: [process.execPath, main, 'setup'], cwd: dir, env });
  if (code !== 0) throw new StepError(`the set-up of ${name}`, `it exited with ${code}:\n${end}`, 'see what it says.');
}

/**
 * Hard links where both folders are on one file system: nothing writes into a package that is installed. npm does write
 * into its list of them, so each checkout has its own.
 */
async function copyPackages({ root, dir, env, runner }: Omit<SetUp, 'name' | 'say'>): Promise<void> {
  const to = join(dir, 'node_modules');
  for (const how of ['--link', '--reflink=auto']) {
    const argv = ['cp', '-a', how, '--', join(root, 'node_modules'), to];
    const { code } = await runner.run({ argv, cwd: dir, env });
    if (code === 0) {
      const list = join(to, '.package-lock.json');
      rmSync(list);
      return copyFileSync(join(root, 'node_modules', '.package-lock.json'), list);
    }
    rmSync(to, { recursive: true, force: true });
  }
  // The set-up installs them.
}

/**
 * Of npm's variables only a person's settings: `npm run` also names the folder that it runs in, where an `npm ci`
 * for another checkout would then install. Node 24 and commands come from each checkout itself.
 */
function environment(root: string): NodeJS.ProcessEnv & { PATH: string } {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^npm_(?!config_)|^npm_config_local_prefix$|^INIT_CWD$/i.test(name),
  );
  return { ...Object.fromEntries(own), PATH: outsidePath(root) };
}

const git = (root: string, ...argv: string[]): string =>
  execFileSync('git', argv, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
