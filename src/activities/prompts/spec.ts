/** The spec as a person names it: a text, a file of the repository, or a folder of them. */
import type { SpecSource } from '../../shared/contracts/run.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import { bySpecOrder, isBinary, SPEC_LIMITS } from '../../shared/base/spec-files.ts';
import type { Mirror } from '../git/contract.ts';
import { nearestFirst } from '../git/refs.ts';
import { entryAt, listEntries, listFiles, readBlob, repositoryPath } from '../git/read/commit-files.ts';
import { byteLength, escapeControls } from '../support/text.ts';

const { files: MAX_FILES, fileBytes: MAX_BYTES } = SPEC_LIMITS;
const SIMILAR = 5;

export type SpecFile = { path: string; text: string };

/**
 * The texts of a spec at a commit, in the order of their paths, a README or index of a folder before the rest of it;
 * what is no text is left out. Empty when the commit has none.
 */
export async function readSpecFiles(mirror: Mirror, commit: CommitSha, spec: string): Promise<SpecFile[]> {
  const parsed = repositoryPath(spec);
  const path = parsed.ok ? parsed.path : spec;
  const files = (await listEntries(mirror, commit, path)).filter(
    ({ mode, size }) => mode !== '120000' && size !== null && size <= MAX_BYTES,
  );
  const texts: SpecFile[] = [];
  for (const { path: file, oid } of files.sort(bySpecOrder)) {
    if (texts.length === MAX_FILES) break;
    const bytes = await readBlob(mirror, oid);
    if (!isBinary(bytes) && bytes.toString().trim() !== '') texts.push({ path: file, text: bytes.toString() });
  }
  return texts;
}

/** @throws terminal BadInput (empty, no text) or RepositoryUnusable (no such file; names similar ones). */
export async function checkSpec(mirror: Mirror, base: CommitSha, spec: SpecSource): Promise<void> {
  if (typeof spec !== 'string') return checkTexts('text' in spec ? [spec.text] : spec.files.map(({ text }) => text));
  const parsed = repositoryPath(spec);
  if (!parsed.ok) throw terminal(FailureType.BadInput, `spec: ${parsed.error}`, 'Name a file of the repository.');
  const { path } = parsed;
  const where = `${base.slice(0, 10)} of ${mirror.repo.location}`;
  const entry = await entryAt(mirror, base, path);
  if (entry?.mode === FOLDER) return await checkFolder(mirror, base, path, where);
  if (entry === null) throw await missing(mirror, base, path, where);
  const wrong = (why: string, remedy: string) =>
    terminal(FailureType.BadInput, `the spec "${path}" at ${where} ${why}`, remedy);
  if (entry.size === null) throw wrong('is a submodule', 'Name a file or a folder of this repository.');
  if (entry.mode === '120000') throw wrong('is a symbolic link', 'Name the file that it leads to.');
  if (entry.size > MAX_BYTES) throw wrong(`has ${entry.size} bytes`, `Keep it below ${MAX_BYTES}.`);
  const bytes = await readBlob(mirror, entry.oid);
  if (isBinary(bytes)) throw wrong('is not text', 'Name a text file.');
  if (bytes.toString().trim() === '') throw wrong('is empty', 'Write down what is to be built, and commit it.');
}

/** What is not in the repository must be shown whole: agents cannot read on. */
function checkTexts(texts: readonly string[]): void {
  if (texts.every((text) => text.trim() === ''))
    throw terminal(FailureType.BadInput, 'the text of the spec is empty', 'Say what is to be built.');
  const bytes = texts.reduce((sum, text) => sum + byteLength(text), 0);
  if (bytes > SPEC_LIMITS.bytes)
    throw terminal(
      FailureType.BadInput,
      `the text of the spec has ${bytes} bytes; at most ${SPEC_LIMITS.bytes} are shown to a planner`,
      'Commit it to the repository, where agents can read all of it, and name its path.',
    );
}

const FOLDER = '040000';

async function checkFolder(mirror: Mirror, base: CommitSha, path: string, where: string): Promise<void> {
  const wrong = (why: string, remedy: string) =>
    terminal(FailureType.BadInput, `the spec "${escapeControls(path) || '.'}" at ${where} is a folder ${why}`, remedy);
  const { length } = await listFiles(mirror, base, path);
  if (length > MAX_FILES)
    throw wrong(`of ${length} files; at most ${MAX_FILES} are read`, 'Name a smaller folder, or one file.');
  if ((await readSpecFiles(mirror, base, path)).length === 0)
    throw wrong('without a text', 'Write down what is to be built, and commit it.');
}

async function missing(mirror: Mirror, base: CommitSha, path: string, where: string): Promise<Error> {
  const files = (await listFiles(mirror, base)).filter((file) => !file.startsWith('node_modules/'));
  const texts = files.filter((file) => /\.(?:md|mdx|txt|rst|adoc|org)$/i.test(file) || !file.includes('.'));
  const near = nearestFirst(path, texts.length > 0 ? texts : files)
    .slice(0, SIMILAR)
    .map(escapeControls);
  const similar = near.length === 0 ? 'It has no file at all.' : `Similar files there: ${near.join(', ')}.`;
  return terminal(
    FailureType.RepositoryUnusable,
    `the spec "${escapeControls(path)}" is not in commit ${where}`,
    `${similar} Only what is committed counts; a spec can also be given as text.`,
  );
}
