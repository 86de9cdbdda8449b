import { run } from '../lib/run.mjs';
import { StepError } from '../lib/step-error.mjs';
import { installLine } from './packages.mjs';

/** The first with `git merge-tree --write-tree`, which merges without a checkout. */
const OLDEST = [2, 38];

/**
 * @returns {Promise<string>} the version
 * @throws {StepError} where there is none, or one that is too old
 */
export async function checkGit() {
  const result = await run('git', ['--version'], { timeoutMs: 20_000 });
  const found = /git version (\d+)\.(\d+)\S*/.exec(result.output);
  if (result.code !== 0 || found === null) {
    throw new StepError(
      'git',
      `\`git --version\` failed: ${result.output.trim()}`,
      `install it: ${installLine('git')}`,
    );
  }
  const [, major, minor] = found.map(Number);
  if (Number(major) < Number(OLDEST[0]) || (major === OLDEST[0] && Number(minor) < Number(OLDEST[1]))) {
    throw new StepError(
      'git',
      `${found[0]} is too old: merging without a checkout needs ${OLDEST.join('.')}`,
      `install a newer one, e.g. from your distribution's backports: ${installLine('git')}`,
    );
  }
  return found[0].replace('git version ', '');
}
