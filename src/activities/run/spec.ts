/** The spec as a person names it, checked before anything is paid for. */
import type { SpecSource } from '../../shared/contracts/run.ts';
import { FailureType, terminal } from '../../shared/failures.ts';
import type { CommitSha } from '../../shared/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { nearestFirst } from '../git/refs.ts';
import { entryAt, isBinary, listFiles, readBlob, repositoryPath } from './commit-files.ts';
import { oneLine } from './text.ts';

const MAX_BYTES = 4_000_000;
const SIMILAR = 5;

/** @throws terminal BadInput (empty, not text) or RepositoryUnusable (no such file; names similar ones). */
export async function checkSpec(mirror: Mirror, base: CommitSha, spec: SpecSource): Promise<void> {
  if (typeof spec !== 'string') {
    if (spec.text.trim() === '')
      throw terminal(FailureType.BadInput, 'the text of the spec is empty', 'Say what is to be built.');
    return;
  }
  const parsed = repositoryPath(spec);
  if (!parsed.ok) throw terminal(FailureType.BadInput, `spec: ${parsed.error}`, 'Name a file of the repository.');
  const { path } = parsed;
  const where = `${base.slice(0, 10)} of ${mirror.repo.location}`;
  const entry = await entryAt(mirror, base, path);
  if (entry === null) throw await missing(mirror, base, path, where);
  const wrong = (why: string, remedy: string) =>
    terminal(FailureType.BadInput, `the spec "${path}" at ${where} ${why}`, remedy);
  if (entry.size === null) throw wrong('is a folder or submodule, not a file', 'Name the file in it.');
  if (entry.mode === '120000') throw wrong('is a symbolic link', 'Name the file that it leads to.');
  if (entry.size > MAX_BYTES) throw wrong(`has ${entry.size} bytes`, `Keep it below ${MAX_BYTES}.`);
  const bytes = await readBlob(mirror, entry.oid);
  if (isBinary(bytes)) throw wrong('is not text', 'Name a text file.');
  if (bytes.toString().trim() === '') throw wrong('is empty', 'Write down what is to be built, and commit it.');
}

async function missing(mirror: Mirror, base: CommitSha, path: string, where: string): Promise<Error> {
  const files = (await listFiles(mirror, base)).filter((file) => !file.startsWith('node_modules/'));
  const texts = files.filter((file) => /\.(?:md|mdx|txt|rst|adoc|org)$/i.test(file) || !file.includes('.'));
  const near = nearestFirst(path, texts.length > 0 ? texts : files)
    .slice(0, SIMILAR)
    .map(oneLine);
  const similar = near.length === 0 ? 'It has no file at all.' : `Similar files there: ${near.join(', ')}.`;
  return terminal(
    FailureType.RepositoryUnusable,
    `the spec "${oneLine(path)}" is not in commit ${where}`,
    `${similar} Only what is committed counts; a spec can also be given as text.`,
  );
}
