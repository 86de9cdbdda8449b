/** Conflict markers that somebody committed: looked at by the host, over the mirror. */
import type { CheckError, CheckRun } from '../../shared/contracts/checks.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import { errorSignature } from '../../shared/reconciler/sweep-errors.ts';
import type { Mirror } from '../git/contract.ts';

const NAME = 'conflict markers';
const MAX_ERRORS = 30;
/** Both ends in one text file; the first of their lines are named. */
const GREP = ['grep', '-z', '-n', '-I', '--all-match', '-e', '^<<<<<<< ', '-e', '^>>>>>>> '];

/** @param since a commit whose own markers (test data, documentation) are none. */
export async function checkMarkers(
  mirror: Mirror,
  commit: CommitSha,
  since: CommitSha | undefined,
  signal: AbortSignal,
): Promise<CheckRun> {
  const startedAt = Date.now();
  const now = await markers(mirror, commit, signal);
  const before = now.size === 0 || since === undefined ? new Map() : await markers(mirror, since, signal);
  const errors = [...now]
    .filter(([file]) => !before.has(file))
    .slice(0, MAX_ERRORS)
    .map(([file, line]): CheckError => {
      const named = { file, message: 'Conflict markers are in the file: a merge was committed half-way.' };
      return { check: NAME, ...named, line, signature: errorSignature(named) };
    });
  return {
    name: NAME,
    status: errors.length === 0 ? 'passed' : 'failed',
    durationMs: Date.now() - startedAt,
    errors,
    tail: errors.map(({ file = '', line }) => `${file}:${line}`).join('\n'),
  };
}

/** The first line with a marker, by file. */
async function markers(mirror: Mirror, commit: CommitSha, signal: AbortSignal): Promise<Map<string, number>> {
  const { stdout } = await mirror.git([...GREP, commit], { ok: [0, 1], signal });
  const found = new Map<string, number>();
  // <commit>:<path> NUL <line> NUL <text> LF
  for (const row of stdout.toString('utf8').split('\n')) {
    const [name = '', line = ''] = row.split('\0');
    const file = name.slice(commit.length + 1);
    if (file !== '' && line !== '' && !found.has(file)) found.set(file, Number(line));
  }
  return found;
}
