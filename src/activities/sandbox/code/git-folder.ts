/** Git folders that the host makes for a new sandbox, by hand: before any agent code has run there. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommitSha } from '../../../shared/ids.ts';

type GitFolder = {
  /** Path on the host; its parent is there. */
  dir: string;
  /** The mirror's objects, as seen from inside. */
  objects: string;
  /** What HEAD's branch is; absent: unborn. */
  head?: CommitSha;
  sha256: boolean;
  /** Paths that are never part of the work, as lines of gitignore. */
  exclude: readonly string[];
  /** Further lines of the configuration. */
  config: string;
};

/** As `git init` makes one, with alternates: 6 small files instead of a process. */
export async function writeGitFolder({ dir, objects, head, sha256, exclude, config }: GitFolder): Promise<void> {
  for (const name of ['objects/info', 'objects/pack', 'refs/heads', 'refs/tags', 'info']) {
    await mkdir(join(dir, name), { recursive: true });
  }
  const format = sha256
    ? '[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n'
    : '[core]\n\trepositoryformatversion = 0\n';
  await Promise.all([
    writeFile(join(dir, 'HEAD'), 'ref: refs/heads/work\n'),
    writeFile(join(dir, 'config'), `${format}[core]\n\tfilemode = true\n\tbare = false\n${config}`),
    writeFile(join(dir, 'objects/info/alternates'), `${objects}\n`),
    writeFile(join(dir, 'info/exclude'), exclude.map((line) => `${line}\n`).join('')),
    ...(head === undefined ? [] : [writeFile(join(dir, 'refs/heads/work'), `${head}\n`)]),
  ]);
}

export const CHECKPOINT_CONFIG = `\tattributesFile = /dev/null
\texcludesFile = /dev/null
\thooksPath = /dev/null
\tfsmonitor = false
\tautocrlf = false
\tsafecrlf = false
\tcompression = 1
[gc]
\tauto = 0
[pack]
\tthreads = 1
\tcompression = 1
[commit]
\tgpgSign = false
`;

/** A path as one anchored line of gitignore. */
export const excludeLine = (path: string): string => `/${path.replace(/[\\*?[\]!#]/g, '\\$&').replace(/ $/, '\\ ')}`;
