/** What `setup` made, in a sandbox: put in, exchanged for another, and the host's record of which it is. */
import { existsSync } from 'node:fs';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Setup } from '../../shared/contracts/run-settings.ts';
import { checkpointExec } from './checkpoints/checkpoint-git.ts';
import { gone } from './gone.ts';
import type { SandboxProvider, SandboxResult } from './provider.ts';
import { isMissing, readJson, overwriteJson } from '../support/json-files.ts';

/** A finished `setup`, kept on this host. */
export type SetupResult = {
  setup: Setup;
  /** Of the command and the content of its key files. */
  key: string;
  /** As `archive` left it: workspace/, home/, and the list of paths. */
  folder: string;
  /** Lines of gitignore: what it made is never part of the work. */
  exclude: string[];
};

/** Which result a sandbox has. */
const Installed = z.object({
  setup: Setup,
  /** null while one is exchanged for another: what is there may be neither. */
  key: z.string().nullable(),
  folder: z.string(),
  /** Key of the newest content for which no result could be had; said once. */
  failed: z.string().optional(),
});
export type Installed = z.infer<typeof Installed>;

/** In the records of a setup's own sandbox: what it made, each path ended by NUL. */
export const PATHS_FILE = 'setup-paths';
/** The same in a sandbox that has it: the result itself may be deleted before the sandbox is. */
const INSTALLED_PATHS_FILE = 'installed-paths';
const TIMEOUT_MS = 10 * 60_000;

const recordFile = (provider: SandboxProvider, id: string): string => join(provider.recordDir(id), 'setup.json');

export const readInstalled = (provider: SandboxProvider, id: string): Promise<Installed | null> =>
  readJson(recordFile(provider, id), Installed);

/** @throws SandboxGone. */
export async function writeInstalled(provider: SandboxProvider, id: string, installed: Installed): Promise<void> {
  try {
    overwriteJson(recordFile(provider, id), installed);
  } catch (error) {
    throw isMissing(error) ? gone(id, error) : error;
  }
}

/** Copies a result into a sandbox. */
export async function installSetup(
  provider: SandboxProvider,
  { setup, key, folder }: SetupResult,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  await writeInstalled(provider, id, { setup, key: null, folder });
  await copyFile(join(folder, 'records', PATHS_FILE), join(provider.recordDir(id), INSTALLED_PATHS_FILE));
  await runIn(provider, id, folder, INSTALL, signal, 'copying what setup made into');
  await writeInstalled(provider, id, { setup, key, folder });
}

/** Deletes what an earlier result put there, then copies the new one. What it made is no part of the work from now on. */
export async function exchangeSetup(
  provider: SandboxProvider,
  result: SetupResult,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  const before = await readInstalled(provider, id);
  if (before !== null && existsSync(join(provider.recordDir(id), INSTALLED_PATHS_FILE))) {
    await writeInstalled(provider, id, { ...before, key: null });
    await runIn(provider, id, before.folder, REMOVE, signal, 'deleting what an earlier setup made from');
  }
  const excludeLines = result.exclude.map((line) => `${line}\n`).join('');
  const options = { stdin: excludeLines, timeoutMs: TIMEOUT_MS, signal };
  expectGood(
    await checkpointExec(provider, id, EXCLUDE, [], options),
    id,
    'excluding what setup made from the work of',
  );
  await installSetup(provider, result, id, signal);
}

async function runIn(
  provider: SandboxProvider,
  id: string,
  folder: string,
  script: string,
  signal: AbortSignal,
  what: string,
): Promise<void> {
  const { setup, workspace, home } = provider.paths(id);
  // A result that is not there any more cannot be mounted.
  const there = existsSync(folder);
  const result = await provider.exec(
    id,
    ['/bin/sh', '-c', script, 'sh', provider.isolated ? setup : folder, workspace, home],
    {
      stdin: await readFile(join(provider.recordDir(id), INSTALLED_PATHS_FILE)),
      ...(there ? { setup: folder } : {}),
      timeoutMs: TIMEOUT_MS,
      signal,
    },
  );
  expectGood(result, id, what);
}

/** Of the sandbox, not of the result: a full disk, a limit. The agent is told. */
export class InstallError extends Error {
  override readonly name = 'InstallError';
}

function expectGood({ reason, exitCode, stderr }: SandboxResult, id: string, what: string): void {
  if (reason === 'exit' && exitCode === 0) return;
  throw new InstallError(`${what} sandbox ${id} ended by ${reason} with ${exitCode}: ${stderr.trim().slice(-1_000)}`);
}

const HOME_ENTRIES =
  'find . -mindepth 1 -maxdepth 1 ! -name .cache ! -name .npm ! -name .npmrc ! -name .config -print0';

/** $1 the result, $2 work tree, $3 home. Paths on standard input, each ended by NUL. Copies share blocks where the disk can. */
const INSTALL = `
set -e
cd "$1/workspace"
xargs -0 -r cp -a --reflink=auto --parents -t "$2" --
cd "$1/home"
${HOME_ENTRIES} | xargs -0 -r cp -a --reflink=auto -t "$3" --
`;

/** The same arguments. Folders that a package manager made read-only can be deleted too. */
const REMOVE = `
cd "$2" && xargs -0 -r sh -c '
  for path do rm -rf -- "$path" 2>/dev/null || { chmod -R u+rwX -- "$path" && rm -rf -- "$path"; } || exit 1; done
' sh || exit 1
[ -d "$1/home" ] && cd "$1/home" || exit 0
${HOME_ENTRIES} | (cd "$3" && xargs -0 -r rm -rf --)
`;

/** For the checkpoints, and for the agent's own git, whatever it has made of that. */
const EXCLUDE = `
cat > "$GIT_DIR/info/exclude" || exit 1
[ -d .git/info ] && cp -- "$GIT_DIR/info/exclude" .git/info/exclude
exit 0
`;
