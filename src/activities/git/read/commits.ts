/** Commits as lines and as texts, out of a mirror. */
import type { CommitSha } from '../../../shared/base/ids.ts';
import type { Mirror } from '../contract.ts';
import { escapeControls } from '../../support/text.ts';

/** How many commits are shown where nobody says. */
export const NEWEST = 20;

/** The newest commits first: `abc1234567 2026-05-01 Subject`. `since` leaves out what that commit can reach. */
export async function recentCommits(
  mirror: Mirror,
  commit: CommitSha,
  { limit, path = '', since }: { limit: number; path?: string; since?: CommitSha },
): Promise<string[]> {
  const { stdout } = await mirror.git([
    ...['--literal-pathspecs', 'log', `--max-count=${limit}`, '--format=%h%x00%as%x00%s%x1e', '--abbrev=10'],
    ...[...(since === undefined ? [commit] : [`${since}..${commit}`]), '--', ...(path === '' ? [] : [path])],
  ]);
  return records(stdout).map((record) => record.split('\0').map(escapeControls).join(' '));
}

/** The commits that `tip` has and `base` has not and that touch one of `files`, newest first, whole messages. */
export async function commitsTouching(
  mirror: Mirror,
  { base, tip, files, limit }: { base: CommitSha; tip: CommitSha; files: readonly string[]; limit: number },
): Promise<{ hash: string; message: string }[]> {
  const { stdout } = await mirror.git([
    ...['--literal-pathspecs', 'log', `--max-count=${limit}`, '--format=%h%x00%B%x1e', '--abbrev=10'],
    ...[`${base}..${tip}`, '--', ...files],
  ]);
  return records(stdout).map((record) => {
    const [hash = '', message = ''] = record.split('\0');
    return { hash, message: message.trim() };
  });
}

/** Records end in a byte (0x1e) that git drops from no message but that none of ours has: forged ones only confuse. */
const records = (stdout: Buffer): string[] =>
  stdout
    .toString()
    .split('\x1e')
    .map((record) => record.replace(/^\n/, ''))
    .filter((record) => record !== '');
