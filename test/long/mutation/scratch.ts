/** Copies of the checkout in which mutants live: clones of HEAD in a temporary folder, never the checkout itself. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { processesOf } from '../../support/processes.ts';

export type Copy = {
  /** Root of the clone. */
  readonly dir: string;
  /** For processes that run in it: temporary files and caches of their own, inside the scratch folder. */
  readonly env: NodeJS.ProcessEnv;
  /** @throws Error with git's words when the patch does not apply. */
  apply(patch: string): void;
  /** Back to HEAD. */
  reset(): void;
  /** Kills what a test run that was ended has left running. */
  killLeftovers(): void;
};

export type Scratch = {
  copy(name: string): Copy;
  /** Ends what still runs in the copies and deletes them. */
  remove(): void;
};

export function createScratch(root: string): Scratch {
  // Short, as paths of sockets are; and a mark that no other process has in its environment.
  const folder = mkdtempSync(join(tmpdir(), 'mutants-'));
  const cache = join(folder, 'cache');
  shareServerBinary(cache);
  const git = (dir: string, ...argv: string[]): string =>
    execFileSync('git', argv, { cwd: dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

  return {
    copy(name) {
      const dir = join(folder, name);
      const temporary = join(folder, `${name}-tmp`);
      mkdirSync(temporary);
      git(root, 'clone', '--quiet', '--shared', '--no-tags', '--', root, dir);
      symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
      return {
        dir,
        env: { ...process.env, TMPDIR: temporary, XDG_CACHE_HOME: cache },
        apply: (patch) => void git(dir, 'apply', '-C1', '--', patch),
        reset() {
          git(dir, 'reset', '--quiet', '--hard');
          git(dir, 'clean', '--quiet', '-fd', '-e', 'node_modules');
          rmSync(temporary, { recursive: true, force: true });
          mkdirSync(temporary);
        },
        killLeftovers: () => killAll([`${dir}/`, `${temporary}/`]),
      };
    },
    remove() {
      killAll([`${folder}/`]);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}

/** Bundles of mutants must not fill the user's cache; the server in it must not be built again. */
function shareServerBinary(cache: string): void {
  const xdg = process.env.XDG_CACHE_HOME;
  const users = join(xdg === undefined || xdg === '' ? join(homedir(), '.cache') : xdg, 'agentswarm', 'temporal');
  const here = join(cache, 'agentswarm', 'temporal');
  mkdirSync(dirname(here), { recursive: true });
  if (existsSync(users)) symlinkSync(users, here);
}

function killAll(folders: readonly string[]): void {
  for (const folder of folders) {
    for (const found of processesOf(folder)) {
      try {
        process.kill(Number.parseInt(found, 10), 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }
}
