/** What a planner is told about the repository, and what of it is new since it was told. */
import { createHash } from 'node:crypto';
import type { RepositoryView } from '../../shared/contracts/activities.ts';
import type { RunContext, SpecSource } from '../../shared/contracts/run.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { readText } from '../git/read/commit-files.ts';
import { recentCommits } from '../git/read/commits.ts';
import { capLines } from '../git/read/file-tree.ts';
import { SPEC_LIMITS } from '../../shared/base/spec-files.ts';
import { readSpecFiles } from './spec.ts';
import { byteLength, escapeControls } from '../support/text.ts';

/** A document that planners get in full, as the target's tip has it. */
export type Document = { name: string; text: string; maxBytes: number; spec: boolean };

const CHANGES_BYTES = 20_000;
const COMMITS_SHOWN = 100;

const GUIDANCE = [
  { name: 'AGENTS.md', maxBytes: 20_000 },
  { name: 'CLAUDE.md', maxBytes: 5_000 },
  { name: 'FEATURES.json', maxBytes: 30_000 },
  { name: 'DECISIONS.md', maxBytes: 20_000 },
] as const;

/** The name of a spec that is given as text; that of a file of the repository is its path. */
const SPEC_TEXT = '(spec)';

/** The spec first, then what of the guidance files is there. A spec that a task deleted is read at the base. */
export async function readDocuments(
  mirror: Mirror,
  run: RunContext,
  spec: SpecSource,
  tip: CommitSha,
): Promise<Document[]> {
  const documents = await readSpec(mirror, run, spec, tip);
  const specs = new Set(documents.map(({ name }) => name));
  for (const { name, maxBytes } of GUIDANCE) {
    if (specs.has(name)) continue;
    const text = await readText(mirror, tip, name);
    if (text !== null && text.trim() !== '') documents.push({ name, text, maxBytes, spec: false });
  }
  return documents;
}

/** The files of a folder share what a spec may take: the first ones are whole. */
async function readSpec(mirror: Mirror, run: RunContext, spec: SpecSource, tip: CommitSha): Promise<Document[]> {
  const { bytes: maxBytes } = SPEC_LIMITS;
  if (typeof spec !== 'string') {
    if ('text' in spec) return [{ name: SPEC_TEXT, text: spec.text, maxBytes, spec: true }];
    return spec.files.map(({ path, text }) => ({ name: `${SPEC_TEXT}/${path}`, text, maxBytes, spec: true }));
  }
  const atTip = await readSpecFiles(mirror, tip, spec);
  const files = atTip.length > 0 ? atTip : await readSpecFiles(mirror, run.base, spec);
  if (files.length === 0)
    throw new Error(`the spec ${spec} is in neither ${tip} nor ${run.base} of ${run.repo.location}`);
  let left: number = maxBytes;
  return files.map(({ path, text }) => {
    const document = { name: path, text, maxBytes: left, spec: true };
    left = Math.max(0, left - byteLength(text));
    return document;
  });
}

export const viewOf = (tip: CommitSha, documents: readonly Document[]): RepositoryView => ({
  tip,
  files: Object.fromEntries(documents.map(({ name, text }) => [name, contentHash(text)])),
});

/** Documents whose content the conversation does not know, and the names of those that are gone. */
export function changedDocuments(
  view: RepositoryView,
  documents: readonly Document[],
): { changed: Document[]; gone: string[] } {
  const names = new Set(documents.map(({ name }) => name));
  return {
    changed: documents.filter(({ name, text }) => view.files[name] !== contentHash(text)),
    gone: Object.keys(view.files).filter((name) => !names.has(name)),
  };
}

/** `A path`, `D path`, `M path`, of what differs between two commits; '' when nothing does. */
export async function changedPaths(mirror: Mirror, from: CommitSha, to: CommitSha): Promise<string> {
  const { stdout } = await mirror.git(['diff-tree', '-r', '-z', '--name-status', '--no-renames', from, to]);
  const fields = stdout.toString().split('\0');
  const rows: string[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) rows.push(`${fields[i]} ${escapeControls(fields[i + 1] ?? '')}`);
  return capLines(rows, CHANGES_BYTES);
}

/** What `to` has and `from` has not, newest first; '' when there is none. */
export async function newCommits(mirror: Mirror, from: CommitSha, to: CommitSha): Promise<string> {
  return (await recentCommits(mirror, to, { limit: COMMITS_SHOWN, since: from })).join('\n');
}

const contentHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);
