/** Looks at a landing before it is made: what of that which others have landed would it take off the branch? */
import type { LostLines } from '../../shared/contracts/guard.ts';
import type { MergeOutcome, MergeRequest } from '../../shared/contracts/merge.ts';
import { type GuardedFile, linesLost } from '../../shared/merge-queue/guard.ts';
import { type CommitSha, TASK_TRAILER } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { changes, contents } from './tree-diff.ts';

type GuardedLanding = {
  /** Where the task's work began. */
  since: CommitSha;
  /** What it lands on, with all that others have landed since. */
  before: CommitSha;
  /** What the branch is to be: a commit or a tree. */
  after: string;
};

/** Evidence is an event in histories: the first files and lines tell enough. */
const MAX_FILES = 8;
const MAX_SAMPLE = 2;
const MAX_LINE_CHARS = 120;
const MAX_COMMITS = 3;

type Told = { lost?: LostLines[] };

/**
 * What the guard says of a request that merges. It costs nothing where the request's commit stands on the commit that
 * its task began from: merged cleanly, such work takes nothing away (see linesLost).
 * @returns `held` when it is not to land; else what is told of it.
 */
export async function guardLanding(
  mirror: Mirror,
  entry: MergeRequest,
  { before, after }: { before: CommitSha; after: string },
  signal?: AbortSignal,
): Promise<{ held?: Extract<MergeOutcome, { kind: 'held' }>; warning: Told }> {
  const { since, base, guard, released } = entry;
  if (since === undefined || since === base) return { warning: {} };
  const lost = await lostLines(mirror, { since, before, after }, signal);
  if (lost.length === 0) return { warning: {} };
  return guard === 'hold' && released === undefined
    ? { held: { kind: 'held', lost }, warning: {} }
    : { warning: { lost } };
}

/** The same of what has landed already: its answer was lost, or is asked for again. */
export async function lostByLanded(
  mirror: Mirror,
  entry: MergeRequest,
  commit: CommitSha,
  signal?: AbortSignal,
): Promise<Told> {
  if (entry.since === undefined || entry.since === entry.base) return {};
  const parent = await mirror.git(['rev-parse', '--verify', '--quiet', `${commit}^1`], { ok: [0, 1], signal });
  if (parent.code !== 0) return {};
  const before = parent.stdout.toString('latin1').trim();
  return (await guardLanding(mirror, { ...entry, guard: 'report' }, { before, after: commit }, signal)).warning;
}

/** Nothing is asked of git when nothing has landed since. @returns the files with lines lost; empty when there are none. */
async function lostLines(mirror: Mirror, landing: GuardedLanding, signal?: AbortSignal): Promise<LostLines[]> {
  const { since, before, after } = landing;
  if (since === before) return [];
  const others = await changes(mirror, since, before, signal);
  const own = await changes(mirror, before, after, signal);
  if (![...own.keys()].some((path) => others.has(path))) return [];
  const sides = [...own].map(([path, { from, to }]) => ({
    path,
    // A file that others left alone was the same when the work began.
    since: others.get(path)?.from ?? from,
    before: from,
    after: to,
  }));
  const read = await contents(
    mirror,
    sides.flatMap((file) => [file.since, file.before, file.after]),
    signal,
  );
  const files: GuardedFile[] = sides.map((file) => ({
    path: file.path,
    since: read(file.since),
    before: read(file.before),
    after: read(file.after),
  }));
  const lost = linesLost(files).slice(0, MAX_FILES);
  return Promise.all(
    lost.map(async ({ path, lostLines: lostLines }) => ({
      path,
      count: lostLines.length,
      sample: lostLines
        .slice(0, MAX_SAMPLE)
        .map((line) => (line.length > MAX_LINE_CHARS ? `${line.slice(0, MAX_LINE_CHARS - 1)}…` : line)),
      from: await whoLanded(mirror, landing, path, new Set(lostLines), signal),
    })),
  );
}

/** The commits that brought these lines, newest first; none when that cannot be told (a binary file). */
async function whoLanded(
  mirror: Mirror,
  { since, before }: GuardedLanding,
  path: string,
  lostLines: ReadonlySet<string>,
  signal?: AbortSignal,
): Promise<LostLines['from']> {
  const blame = ['blame', '--porcelain', `${since}..${before}`, '--', path];
  const { stdout, code } = await mirror.git(blame, { ok: [0, 128], signal });
  const commits = new Set<string>();
  let commit = '';
  for (const line of code === 0 ? stdout.toString('utf8').split('\n') : []) {
    const header = /^([0-9a-f]{40}|[0-9a-f]{64}) \d+ \d+/.exec(line);
    if (header !== null) commit = header[1] ?? '';
    else if (line.startsWith('\t') && commit !== since && lostLines.has(line.trim())) commits.add(commit);
  }
  const named = commits.size > 0 ? ['--no-walk', ...commits] : [`${since}..${before}`];
  const format = `--format=%H%x1f%(trailers:key=${TASK_TRAILER},valueonly,separator=%x1e)`;
  const argv = ['--literal-pathspecs', 'log', `--max-count=${MAX_COMMITS}`, format, ...named, '--'];
  const { stdout: rows } = await mirror.git(commits.size > 0 ? argv : [...argv, path], { signal });
  return rows
    .toString('utf8')
    .split('\n')
    .filter((row) => row !== '')
    .map((row) => {
      const [hash = '', task = ''] = row.split('\x1f');
      return { commit: hash, ...(task === '' || task.includes('\x1e') ? {} : { task }) };
    });
}
