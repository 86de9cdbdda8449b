/** `agentswarm.json` of the repository, at the base commit: a task that changes it changes no rule of its own run. */
import type { CommitSha } from '../../shared/base/ids.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { describeIssues, RunSettingsInput } from '../../shared/contracts/run-settings.ts';
import type { Mirror } from '../git/contract.ts';
import { entryAt, readBlob } from '../git/read/commit-files.ts';

export const SETTINGS_FILE = 'agentswarm.json';
const MAX_BYTES = 1_000_000;

/**
 * @returns the settings that the repository gives, or undefined when it has no such file.
 * @throws terminal BadInput that names the file, the commit and each wrong key.
 */
export async function readRepositorySettings(mirror: Mirror, base: CommitSha): Promise<RunSettingsInput | undefined> {
  const entry = await entryAt(mirror, base, SETTINGS_FILE);
  if (entry === null) return undefined;
  const where = `${SETTINGS_FILE} at ${base.slice(0, 10)} of ${mirror.repo.location}`;
  const wrong = (why: string, cause?: unknown) =>
    terminal(FailureType.BadInput, `${where} ${why}`, `Correct the file, commit it, and start the run again.`, cause);
  if (entry.size === null || entry.mode === '120000') throw wrong('is not a file');
  if (entry.size > MAX_BYTES) throw wrong(`has ${entry.size} bytes; at most ${MAX_BYTES} are read`);
  let json: unknown;
  try {
    json = JSON.parse((await readBlob(mirror, entry.oid)).toString());
  } catch (error) {
    throw wrong(`is not JSON: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  const parsed = RunSettingsInput.safeParse(json);
  if (!parsed.success) throw wrong(`does not fit:\n${describeIssues(parsed.error, SETTINGS_FILE)}`);
  return parsed.data;
}
