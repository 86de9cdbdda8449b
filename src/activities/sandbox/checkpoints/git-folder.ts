/** Git folders that the host makes for a new sandbox, by hand: before any agent code has run there. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommitSha } from '../../../shared/base/ids.ts';

type GitFolder = {
  /** The objects that it stands on, as seen from inside. */
  objects: string;
  /** What HEAD's branch is; absent: unborn. */
  head?: CommitSha;
  sha256: boolean;
  /** Paths that are never part of the work, as lines of gitignore. */
  exclude: readonly string[];
  /** Further lines of the configuration. */
  config: string;
};

const FOLDERS = ['objects/info', 'objects/pack', 'refs/heads', 'refs/tags', 'info'];

/** The two git folders of a sandbox: the host's own for checkpoints, and the agent's at the work tree. */
export function gitFolders(options: { objects: string; head: CommitSha; exclude: readonly string[] }): {
  checkpoint: GitFolder;
  agent: GitFolder;
} {
  const { objects, head, exclude } = options;
  const common = { objects, exclude, sha256: head.length === 64 };
  return { checkpoint: { ...common, config: CHECKPOINT_CONFIG }, agent: { ...common, head, config: AGENT_CONFIG } };
}

/** What is in one, by path: as `git init` makes it, with alternates. */
export function gitFolderFiles({ objects, head, sha256, exclude, config }: GitFolder): Record<string, string> {
  return {
    HEAD: 'ref: refs/heads/work\n',
    config: `${formatConfig(sha256)}[core]\n\tfilemode = true\n\tbare = false\n${config}`,
    'objects/info/alternates': `${objects}\n`,
    'info/exclude': exclude.map((line) => `${line}\n`).join(''),
    ...(head === undefined ? {} : { 'refs/heads/work': `${head}\n` }),
  };
}

/** The first lines of a repository's configuration. */
export const formatConfig = (sha256: boolean): string =>
  sha256
    ? '[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n'
    : '[core]\n\trepositoryformatversion = 0\n';

/** @param dir path on the host; its parent is there. 6 small files instead of a process. */
export async function writeGitFolder(dir: string, folder: GitFolder): Promise<void> {
  for (const name of FOLDERS) await mkdir(join(dir, name), { recursive: true });
  await Promise.all(Object.entries(gitFolderFiles(folder)).map(([path, text]) => writeFile(join(dir, path), text)));
}

const AGENT_CONFIG = '\tlogAllRefUpdates = true\n[user]\n\tname = agent\n\temail = agent@localhost\n[gc]\n\tauto = 0\n';

/** Of larger files git makes packs, which are looked into by nobody here: what is too large is told by its size. */
const CHECKPOINT_CONFIG = `\tattributesFile = /dev/null
\texcludesFile = /dev/null
\thooksPath = /dev/null
\tfsmonitor = false
\tautocrlf = false
\tsafecrlf = false
\tcompression = 1
\tbigFileThreshold = 100g
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
