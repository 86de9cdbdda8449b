/** The tool `grep` over one commit: counted first, so that neither memory nor answer can grow beyond bounds. */
import type { CommitSha } from '../../../shared/base/ids.ts';
import type { Mirror } from '../contract.ts';
import { GitError } from '../errors.ts';
import { matchesGlob } from './glob.ts';
import { headBytes, escapeControls } from '../../support/text.ts';

const MAX_MATCHES = 300;
const MATCHES_PER_FILE = 100;
const LINE_BYTES = 500;
const DEADLINE_MS = 60_000;

type Query = { commit: CommitSha; pattern: string; path: string; glob?: string | undefined };

/** @returns lines `file:line:text`, or why the pattern cannot be searched for. Binary files are left out. */
export async function grep(
  mirror: Mirror,
  query: Query,
): Promise<{ ok: true; text: string } | { ok: false; error: string }> {
  const { commit, pattern, path, glob } = query;
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const options = ['--literal-pathspecs', 'grep', '-z', '-I', '-E', '--no-color', '--full-name'];
  const rest = (files: readonly string[]): string[] => ['-e', pattern, commit, '--', ...files];
  try {
    const counted = await mirror.git([...options, '-c', ...rest(path === '' ? [] : [path])], { ok: [0, 1], signal });
    const counts = parseCounts(counted.stdout, commit).filter(
      ({ file }) => glob === undefined || matchesGlob(glob, file),
    );
    if (counts.length === 0) return { ok: true, text: 'No match.' };
    const total = counts.reduce((sum, { count }) => sum + count, 0);
    const files = takeFiles(counts);
    const matches = await mirror.git([...options, '-n', `--max-count=${MATCHES_PER_FILE}`, ...rest(files)], {
      ok: [0, 1],
      signal,
    });
    const matchingLines = parseMatches(matches.stdout, commit).slice(0, MAX_MATCHES);
    const left = total - matchingLines.length;
    if (left > 0)
      matchingLines.push(
        `[${left} more matches; ${total} in ${counts.length} files: narrow the pattern, path or glob]`,
      );
    return { ok: true, text: matchingLines.join('\n') };
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    if (signal.aborted)
      return { ok: false, error: `The search took longer than ${DEADLINE_MS / 1_000} s: narrow the pattern.` };
    if (error.code !== 128) throw error;
    const reason = error.output.trim().split('\n').at(-1) ?? '';
    return { ok: false, error: `git grep -E does not take this pattern: ${reason}` };
  }
}

/** Records `<commit>:<file>\0<count>\n`. */
function parseCounts(stdout: Buffer, commit: CommitSha): { file: string; count: number }[] {
  return [...stdout.toString().matchAll(/([^\0]+)\0(\d+)\n/g)].map(([, file = '', count]) => ({
    file: file.slice(commit.length + 1),
    count: Number(count),
  }));
}

function takeFiles(counts: readonly { file: string; count: number }[]): string[] {
  const files: string[] = [];
  let matches = 0;
  for (const { file, count } of counts) {
    if (matches >= MAX_MATCHES) break;
    files.push(file);
    matches += Math.min(count, MATCHES_PER_FILE);
  }
  return files;
}

/** Records `<commit>:<file>\0<line>\0<text>\n`. */
function parseMatches(stdout: Buffer, commit: CommitSha): string[] {
  return [...stdout.toString().matchAll(/([^\0]+)\0(\d+)\0([^\n]*)\n/g)].map(([, file = '', line = '', text = '']) => {
    const cut = headBytes(text, LINE_BYTES);
    return `${escapeControls(file.slice(commit.length + 1))}:${line}:${cut}${cut.length < text.length ? ' [line cut]' : ''}`;
  });
}
