/** The bare mirrors of this host: one folder per repository key, made whole or not at all. */
import { createHash, randomUUID } from 'node:crypto';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from '../../../infra/lib/lock.mjs';
import type { Log } from '../support/log.ts';
import type { RepositoryRef } from '../../shared/contracts/run.ts';
import type { Mirror, Mirrors } from './contract.ts';
import type { Environment, GitCredentials } from './environment.ts';
import { createConverse } from './conversation.ts';
import { createMirror } from './mirror.ts';
import type { RunProcess } from '../process/run-process.ts';
import { createGit, type Git } from './run-git.ts';

const LOCK_POLL_MS = 100;

/** @param dir absolute path; is created. `env` is the worker's environment, of which git sees only a part. */
export function createMirrors(options: {
  dir: string;
  env?: Environment;
  credentials?: Partial<GitCredentials>;
  /** How processes are started; in this process unless given. */
  run?: RunProcess;
  log?: Log;
}): Mirrors {
  const { dir, log } = options;
  const git = createGit({ env: options.env, credentials: options.credentials, run: options.run });
  const converse = createConverse(options.env ?? process.env);
  const opened = new Map<string, Promise<Mirror>>();

  async function open(repo: RepositoryRef): Promise<Mirror> {
    const path = join(dir, folderName(repo.key));
    if (!(await exists(path))) {
      const clonedOnce = async (): Promise<void> => {
        if (await exists(path)) return;
        const startedAt = Date.now();
        await clone(git, repo, path);
        log?.info({ repository: repo.key, ms: Date.now() - startedAt }, 'mirrored the repository');
      };
      await withLock(`${path}.lock`, clonedOnce, { pollMs: LOCK_POLL_MS });
    }
    return createMirror({ dir: path, repo, git, converse });
  }

  return {
    open(repo) {
      const id = `${repo.key}\n${repo.location}`;
      let mirror = opened.get(id);
      if (mirror === undefined) {
        mirror = open(repo);
        opened.set(id, mirror);
        mirror.catch(() => opened.delete(id));
      }
      return mirror;
    },
  };
}

/** Readable, and by its hash never the same for two keys. */
function folderName(key: string): string {
  const readable = key.replace(/[^A-Za-z0-9.]+/g, '-').replace(/^[-.]+/, '');
  return `${readable.slice(-60)}-${createHash('sha256').update(key).digest('hex').slice(0, 12)}.git`;
}

async function clone(git: Git, repo: RepositoryRef, path: string): Promise<void> {
  const prefix = `${path}.new-`;
  await removeLeftovers(prefix);
  const fresh = `${prefix}${randomUUID()}`;
  try {
    const heads = await git(['ls-remote', '--', repo.location], { remote: repo.location });
    const format = /^[0-9a-f]{64}\t/.test(heads.stdout.toString('latin1')) ? 'sha256' : 'sha1';
    await git(['init', '--quiet', '--bare', '--template=', `--object-format=${format}`, '--', fresh], { cwd: '/' });
    await git(['config', 'gc.auto', '0'], { gitDir: fresh });
    await git(
      ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--', repo.location, '+refs/heads/*:refs/heads/*'],
      { gitDir: fresh, remote: repo.location },
    );
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    // Another process, which had lost or taken over the lock, was faster: its mirror is as good.
    if (isTaken(error) && (await exists(path))) return;
    throw error;
  }
}

async function removeLeftovers(prefix: string): Promise<void> {
  const folder = join(prefix, '..');
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (path.startsWith(prefix)) await rm(path, { recursive: true, force: true });
  }
}

const isTaken = (error: unknown): boolean =>
  ['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '');

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
