/** What of a task's work weakens tests and checks: the diff of the files that can, whole for those with tests. */
import {
  type FileDiff,
  isGuarded,
  mayHaveTests,
  parseDiff,
  tamperEvidence,
  type TamperRules,
} from '../../shared/reconciler/tamper.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from './contract.ts';

const MAX_FILES = 500;
const MAX_EVIDENCE = 10;
const DIFF = ['--literal-pathspecs', 'diff', '--no-color', '--no-ext-diff', '--no-textconv', '--no-renames'];
/** Lines of context: all of a file that people read. */
const WHOLE = 50_000;

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
  const diffOf = async (paths: readonly string[], context: number): Promise<FileDiff[]> => {
    if (paths.length === 0) return [];
    const { stdout } = await mirror.git([...DIFF, `-U${context}`, base, commit, '--', ...paths]);
    return parseDiff(stdout.toString('utf8'), { whole: context > 0 });
  };
  const tests = await diffOf(files.filter(mayHaveTests), WHOLE);
  const others = await diffOf(
    files.filter((path) => !mayHaveTests(path)),
    0,
  );
  return tamperEvidence([...tests, ...others], rules)
    .map((line) => line.slice(0, 400))
    .slice(0, MAX_EVIDENCE);
}
