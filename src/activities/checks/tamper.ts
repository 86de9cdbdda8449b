/** What of a task's work weakens tests and checks: the diff of the files that can, by one process of git. */
import { isGuarded, parseDiff, tamperEvidence, type TamperRules } from '../../shared/decisions/tamper.ts';
import type { CommitSha } from '../../shared/ids.ts';
import type { Mirror } from '../git/contract.ts';

const MAX_FILES = 500;
const MAX_EVIDENCE = 10;
const DIFF = ['--literal-pathspecs', 'diff', '--no-color', '--no-ext-diff', '--no-textconv', '--no-renames', '-U0'];

/**
 * @param files paths that differ between the two; of very many the first ones are looked at.
 * @returns sentences, empty where nothing is weaker.
 */
export async function findTampering(
  mirror: Mirror,
  request: { base: CommitSha; commit: CommitSha; files: readonly string[]; rules: TamperRules },
): Promise<string[]> {
  const { base, commit, rules } = request;
  const files = request.files.filter((path) => isGuarded(path, rules)).slice(0, MAX_FILES);
  if (files.length === 0) return [];
  const { stdout } = await mirror.git([...DIFF, base, commit, '--', ...files]);
  return tamperEvidence(parseDiff(stdout.toString('utf8')), rules)
    .map((line) => line.slice(0, 400))
    .slice(0, MAX_EVIDENCE);
}
