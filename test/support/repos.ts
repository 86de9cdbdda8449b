/** Real repositories for tests, made by plumbing so that any path, mode and content can be had. */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file's content; null deletes it; with a mode it is executable, a symlink or a submodule (then: a commit). */
export type TestFile = string | Buffer | null | { mode: '100755' | '120000' | '160000'; content: string };
export type TestFiles = Record<string, TestFile>;

/** A folder that is removed by the returned function. */
export function temporaryFolder(prefix = 'agentswarm-'): { dir: string; remove: () => void } {
  const dir = mkdtempSync(join(tmpdir(), prefix));
  return { dir, remove: () => removeFolder(dir) };
}

/** Also what is read-only, which only root can delete as it is. */
function removeFolder(dir: string): void {
  try {
    rmSync(dir, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    spawnSync('chmod', ['-R', 'u+rwX', '--', dir]);
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Runs git with no configuration but its own; throws with what git said. The last newline is cut unless `raw`. */
export function gitIn(
  dir: string,
  argv: readonly string[],
  options: { input?: string | Buffer; env?: Record<string, string>; encoding?: BufferEncoding; raw?: boolean } = {},
): string {
  const person = { name: 'A Person', email: 'person@example.org' };
  const result = spawnSync('git', argv, {
    cwd: dir,
    input: options.input,
    maxBuffer: 256 * 1024 * 1024,
    env: {
      PATH: process.env.PATH,
      HOME: '/nonexistent',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: person.name,
      GIT_AUTHOR_EMAIL: person.email,
      GIT_COMMITTER_NAME: person.name,
      GIT_COMMITTER_EMAIL: person.email,
      ...options.env,
    },
  });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0) {
    throw new Error(`git ${argv.join(' ')} in ${dir} ended with ${result.status}: ${result.stderr.toString()}`);
  }
  const text = result.stdout.toString(options.encoding ?? 'utf8');
  return options.raw === true ? text : text.replace(/\n$/, '');
}

export type TestRepository = {
  readonly dir: string;
  /** Commits on top of a branch (made when it is not there) or of `parent`, and moves the branch. */
  commit(files: TestFiles, options?: CommitOptions): string;
  /** A commit that no branch has; with `ref` it is kept under that name. */
  detached(files: TestFiles, options: { parent: string; message?: string; ref?: string }): string;
  git(...argv: string[]): string;
  tip(branch?: string): string;
  /** Paths of a commit with mode and content: `100644 text`. */
  files(commitish?: string): Record<string, string>;
  /** Subjects, newest first. */
  log(commitish?: string): string[];
  message(commitish?: string): string;
  /** Full names of refs below a prefix. */
  refs(prefix?: string): string[];
  /** A server-side hook; an empty script removes it. */
  hook(name: 'pre-receive' | 'update' | 'post-receive', script: string): void;
};
type CommitOptions = { branch?: string; message?: string; parent?: string; allowEmpty?: boolean };

/** A bare repository as a remote is one, with one commit on `main`; `files: null` leaves it empty. */
export function bareRepository(
  dir: string,
  files: TestFiles | null = { 'README.md': '# test\n' },
  options: { objectFormat?: 'sha1' | 'sha256'; branch?: string } = {},
): TestRepository {
  const { objectFormat = 'sha1', branch: first = 'main' } = options;
  mkdirSync(dir, { recursive: true });
  gitIn(dir, ['init', '--quiet', '--bare', `--initial-branch=${first}`, `--object-format=${objectFormat}`, '.']);
  gitIn(dir, ['config', 'http.receivepack', 'true']);
  gitIn(dir, ['config', 'gc.auto', '0']);
  gitIn(dir, ['config', 'receive.autogc', 'false']);

  function makeCommit(changes: TestFiles, parent: string | undefined, message: string): string {
    const env = { GIT_INDEX_FILE: join(dir, `index-${randomUUID()}`) };
    try {
      if (parent !== undefined) gitIn(dir, ['read-tree', parent], { env });
      const rows: Buffer[] = [];
      for (const [path, file] of Object.entries(changes)) {
        // A path that is no UTF-8 is named by its bytes, as latin1; anything beyond latin1 is UTF-8.
        const bytes = Buffer.from(path, 'latin1');
        rows.push(Buffer.from(row(file)), bytes.toString('latin1') === path ? bytes : Buffer.from(path), NUL);
      }
      gitIn(dir, ['update-index', '-z', '--index-info'], { input: Buffer.concat(rows), env });
      const tree = gitIn(dir, ['write-tree'], { env });
      return gitIn(dir, ['commit-tree', tree, ...(parent === undefined ? [] : ['-p', parent])], { input: message });
    } finally {
      rmSync(env.GIT_INDEX_FILE, { force: true });
    }
  }

  function row(file: TestFile): string {
    if (file === null) return `0 ${'0'.repeat(objectFormat === 'sha1' ? 40 : 64)}\t`;
    const mode = typeof file === 'string' || Buffer.isBuffer(file) ? '100644' : file.mode;
    const content = typeof file === 'string' || Buffer.isBuffer(file) ? file : file.content;
    const object =
      mode === '160000' ? String(content) : gitIn(dir, ['hash-object', '-w', '--stdin'], { input: content });
    return `${mode} ${object}\t`;
  }

  function resolve(name: string): string | undefined {
    const found = gitIn(dir, ['for-each-ref', '--format=%(objectname)', name]);
    return found === '' ? undefined : found;
  }

  const repository: TestRepository = {
    dir,
    commit(changes, { branch = first, message = 'change', parent } = {}) {
      const commit = makeCommit(changes, parent ?? resolve(`refs/heads/${branch}`), message);
      gitIn(dir, ['update-ref', `refs/heads/${branch}`, commit]);
      return commit;
    },
    detached(changes, { parent, message = 'work', ref }) {
      const commit = makeCommit(changes, parent, message);
      if (ref !== undefined) gitIn(dir, ['update-ref', ref, commit]);
      return commit;
    },
    git: (...argv) => gitIn(dir, argv),
    tip: (branch = first) => gitIn(dir, ['rev-parse', '--verify', `refs/heads/${branch}`]),
    files(commitish = first) {
      const rows = gitIn(dir, ['ls-tree', '-r', '-z', commitish], { encoding: 'latin1' }).split('\0');
      return Object.fromEntries(
        rows
          .filter((text) => text !== '')
          .map((text) => {
            const [meta = '', path = ''] = text.split('\t');
            const [mode, type, object = ''] = meta.split(' ');
            const content =
              type === 'blob' ? gitIn(dir, ['cat-file', 'blob', object], { encoding: 'latin1', raw: true }) : object;
            return [path, `${mode} ${content}`];
          }),
      );
    },
    log: (commitish = first) => gitIn(dir, ['log', '--format=%s', commitish]).split('\n'),
    message: (commitish = first) => gitIn(dir, ['log', '-1', '--format=%B', commitish]),
    refs: (prefix = 'refs/') => gitIn(dir, ['for-each-ref', '--format=%(refname)', prefix]).split('\n').filter(Boolean),
    hook(name, script) {
      const path = join(dir, 'hooks', name);
      mkdirSync(join(dir, 'hooks'), { recursive: true });
      if (script === '') return rmSync(path, { force: true });
      writeFileSync(path, `#!/bin/sh\n${script}\n`);
      chmodSync(path, 0o755);
    },
  };
  if (files !== null) repository.commit(files, { message: 'first' });
  return repository;
}

const NUL = Buffer.from([0]);
