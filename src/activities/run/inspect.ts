/**
 * A planner's read-only tools over the mirror at one commit. A mistake of the model is its tool's result, never
 * an exception; what it wrote reaches git only behind `--` and with pathspec magic off.
 */
import type { ToolCall, ToolResult } from '../../shared/contracts/agent.ts';
import type { RunActivities } from '../../shared/contracts/activities.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import { isBinary } from '../../shared/base/spec-files.ts';
import { parseArguments, ROLE_TOOLS, type ToolArguments } from '../../shared/agent/tools.ts';
import type { Mirror, Mirrors } from '../git/contract.ts';
import type { Log } from '../support/log.ts';
import { entryAt, listFiles, listFolder, readBlob, repositoryPath } from '../git/read/commit-files.ts';
import { matchesGlob } from '../git/read/glob.ts';
import { grep } from '../git/read/grep.ts';
import { cutMiddle, headBytes, escapeControls } from '../support/text.ts';
import { NEWEST, recentCommits } from '../git/read/commits.ts';

const OUTPUT_BYTES = 30_000;
const READ_LINES = 2_000;
const LINE_BYTES = 2_000;
const MAX_FILE_BYTES = 10_000_000;
const MAX_FOUND = 1_000;

const READ_ONLY = ['read', 'grep', 'find', 'ls', 'log'] as const;
type ReadOnly = (typeof READ_ONLY)[number];
type Tool<N extends ReadOnly> = (at: { mirror: Mirror; commit: CommitSha }, args: ToolArguments<N>) => Promise<string>;

/** What the model did wrong, in words that tell it how to go on. */
export class ToolMistake extends Error {}

const TOOLS: { [N in ReadOnly]: Tool<N> } = { read, grep: grepAt, find, ls, log };

/** @returns `inspect` of RunActivities: one result for each call, in the same order. */
export function createInspect({ mirrors, log: logger }: { mirrors: Mirrors; log: Log }): RunActivities['inspect'] {
  return async ({ run, commit, calls }) => {
    const mirror = await mirrors.open(run.repo);
    await mirror.ensureCommit(commit, `refs/heads/${run.target}`);
    const results: ToolResult[] = [];
    for (const call of calls) results.push(await answer(call, { mirror, commit }, logger));
    return { results };
  };
}

async function answer(call: ToolCall, at: { mirror: Mirror; commit: CommitSha }, logger: Log): Promise<ToolResult> {
  const result = (status: 'ok' | 'error', output: string): ToolResult => ({
    callId: call.id,
    name: call.name,
    status,
    output: cutMiddle(output, OUTPUT_BYTES, 'narrow the call to see it'),
  });
  const name = READ_ONLY.find((tool) => tool === call.name);
  if (name === undefined) {
    const offered = ROLE_TOOLS.planner.tools.join(', ');
    return result(
      'error',
      `There is no tool "${escapeControls(headBytes(call.name, 100))}" here. Offered: ${offered}.`,
    );
  }
  try {
    const output = await runTool(name, call.arguments, at);
    return result('ok', output);
  } catch (error) {
    if (error instanceof ToolMistake) return result('error', error.message);
    logger.warn({ tool: name, commit: at.commit, error: String(error) }, 'a planner tool failed');
    return result('error', `${name} failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function runTool<N extends ReadOnly>(
  name: N,
  text: string,
  at: { mirror: Mirror; commit: CommitSha },
): Promise<string> {
  const args = parseArguments(name, text);
  if (!args.ok) throw new ToolMistake(args.error);
  const tool: Tool<N> = TOOLS[name];
  return tool(at, args.value);
}

function pathOf(path: string | undefined): string {
  const parsed = repositoryPath(path ?? '');
  if (!parsed.ok) throw new ToolMistake(parsed.error);
  return parsed.path;
}

async function read(
  { mirror, commit }: { mirror: Mirror; commit: CommitSha },
  args: ToolArguments<'read'>,
): Promise<string> {
  const path = pathOf(args.path);
  const entry = await entryAt(mirror, commit, path);
  if (entry === null)
    throw new ToolMistake(`There is no file "${path}" at ${commit.slice(0, 10)}: look with ls or find.`);
  if (entry.mode === '160000')
    throw new ToolMistake(`"${path}" is a submodule at ${entry.oid}: its files are not here.`);
  if (entry.size === null) throw new ToolMistake(`"${path || '/'}" is a folder: list it with ls.`);
  if (entry.size > MAX_FILE_BYTES)
    throw new ToolMistake(`"${path}" has ${entry.size} bytes, too many to read (at most ${MAX_FILE_BYTES}): use grep.`);
  const bytes = await readBlob(mirror, entry.oid);
  if (entry.mode === '120000') return `(symbolic link to ${escapeControls(bytes.toString())})`;
  if (isBinary(bytes)) throw new ToolMistake(`"${path}" is binary (${entry.size} bytes).`);
  if (bytes.length === 0) return '(empty file)';
  const rows = bytes.toString().replace(/\n$/, '').split('\n');
  const from = (args.offset ?? 1) - 1;
  if (from >= rows.length)
    throw new ToolMistake(`"${path}" has ${rows.length} lines; offset ${from + 1} is behind them.`);
  return page(rows, from, args.limit ?? READ_LINES);
}

/** As many whole lines as were asked for and fit, with a note of where to go on. */
function page(rows: readonly string[], from: number, limit: number): string {
  const shown: string[] = [];
  let bytes = 0;
  for (const [i, line] of rows.slice(from, from + limit).entries()) {
    const cut = headBytes(line, LINE_BYTES);
    const numbered = `${from + i + 1}\t${cut}${cut.length < line.length ? ' [line cut]' : ''}`;
    bytes += Buffer.byteLength(numbered) + 1;
    if (bytes > OUTPUT_BYTES - 200) break;
    shown.push(numbered);
  }
  const next = from + shown.length;
  if (next < rows.length) shown.push(`[${rows.length} lines in all; go on with offset ${next + 1}]`);
  return shown.join('\n');
}

async function grepAt(
  { mirror, commit }: { mirror: Mirror; commit: CommitSha },
  { pattern, path, glob }: ToolArguments<'grep'>,
): Promise<string> {
  const found = await grep(mirror, { commit, pattern, path: pathOf(path), glob });
  if (!found.ok) throw new ToolMistake(found.error);
  return found.text;
}

async function find(
  { mirror, commit }: { mirror: Mirror; commit: CommitSha },
  { pattern, path }: ToolArguments<'find'>,
): Promise<string> {
  const folder = pathOf(path);
  const prefix = folder === '' ? '' : `${folder}/`;
  const files = (await listFiles(mirror, commit, folder)).filter((file) => file.startsWith(prefix));
  if (files.length === 0 && folder !== '')
    throw new ToolMistake(`There is no folder "${folder}" at ${commit.slice(0, 10)}.`);
  const matching = files.filter((file) => matchesGlob(pattern, file.slice(prefix.length)));
  if (matching.length === 0) return `No file below ${folder || '/'} matches ${pattern}.`;
  const rows = matching.slice(0, MAX_FOUND).map(escapeControls);
  if (matching.length > MAX_FOUND) rows.push(`[… ${matching.length - MAX_FOUND} more files]`);
  return rows.join('\n');
}

async function ls(
  { mirror, commit }: { mirror: Mirror; commit: CommitSha },
  args: ToolArguments<'ls'>,
): Promise<string> {
  const path = pathOf(args.path);
  const entry = await entryAt(mirror, commit, path);
  if (entry === null)
    throw new ToolMistake(`There is no "${path}" at ${commit.slice(0, 10)}: list the folder above it.`);
  if (entry.mode !== '040000') throw new ToolMistake(`"${path}" is not a folder: use read.`);
  const entries = await listFolder(mirror, commit, path);
  const rows = entries.map(({ path: name, mode }) => {
    const own = escapeControls(path === '' ? name : name.slice(path.length + 1));
    return mode === '040000' ? `${own}/` : mode === '160000' ? `${own} (submodule)` : own;
  });
  return rows.length === 0 ? '(empty)' : rows.join('\n');
}

async function log(
  { mirror, commit }: { mirror: Mirror; commit: CommitSha },
  args: ToolArguments<'log'>,
): Promise<string> {
  const path = pathOf(args.path);
  const rows = await recentCommits(mirror, commit, { limit: args.limit ?? NEWEST, path });
  return rows.length === 0 ? `No commit${path === '' ? '' : ` touches ${path}`}.` : rows.join('\n');
}
