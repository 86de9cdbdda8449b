import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join, sep } from 'node:path';
import { withLock } from '../lib/lock.mjs';
import { run, tail, which } from '../lib/run.mjs';
import { StepError } from '../lib/step-error.mjs';

/** @typedef {{ packages?: Record<string, { version?: string, integrity?: string, optional?: boolean, link?: boolean }> }} Lockfile */

/**
 * Why `node_modules` does not hold what the lockfile says, or null when it does. npm keeps what it has installed
 * in `node_modules/.package-lock.json`; packages for other platforms are absent there, and that is right.
 *
 * @param {string} root the checkout
 * @returns {string | null}
 */
export function staleReason(root) {
  const installedFile = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedFile)) return 'node_modules is missing or incomplete';
  const wanted = readLock(join(root, 'package-lock.json'));
  const installed = readLock(installedFile);
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '' || entry.link === true) continue;
    const have = installed[path];
    if (have === undefined) {
      if (entry.optional === true) continue;
      return `${path} is not installed`;
    }
    if (have.version !== entry.version || have.integrity !== entry.integrity) {
      return `${path} is ${have.version}, the lockfile says ${entry.version}`;
    }
  }
  return null;
}

/** @param {string} file */
function readLock(file) {
  /** @type {unknown} */
  const parsed = JSON.parse(readFileSync(file, 'utf8'));
  const lock = /** @type {Lockfile} */ (parsed);
  return lock.packages ?? {};
}

/**
 * Installs the exact versions of the lockfile where something else, or nothing, is installed.
 *
 * @param {{ root: string, say: (line: string) => void }} options
 * @returns {Promise<string>} what there is now, in a few words
 */
export async function installPackages({ root, say }) {
  const reason = staleReason(root);
  if (reason === null) return 'as in the lockfile';
  const lock = join(homedir(), '.cache', 'agentswarm', 'locks', `${hash(root)}.npm-ci`);
  return withLock(
    lock,
    async () => {
      if (staleReason(root) === null) return 'installed by another set-up';
      await npmCi(root, reason, say);
      return 'installed';
    },
    { onWait: (holder) => say(`waiting for another set-up that runs npm ci here (${holder})`) },
  );
}

/**
 * @param {string} root
 * @param {string} reason
 * @param {(line: string) => void} say
 */
async function npmCi(root, reason, say) {
  // Not the Node of this checkout: npm ci deletes it while it runs.
  const path = outsidePath(root);
  const npm = which('npm', { path });
  if (npm === null) {
    throw new StepError('npm packages', 'no `npm` on the PATH', 'install npm (it comes with Node), then start again.');
  }
  const started = Date.now();
  say(`npm ci, because ${reason} (about a minute)`);
  const result = await run(npm, ['ci', '--loglevel=error', '--no-audit', '--no-fund'], {
    cwd: root,
    env: { ...process.env, PATH: path, NODE_ENV: 'development' },
    timeoutMs: 15 * 60_000,
  });
  if (result.code !== 0) {
    throw new StepError(
      'npm packages',
      `\`npm ci\` in ${root} ${result.problem === 'timeout' ? 'took more than 15 minutes' : 'failed'}:\n${complaint(result.output)}`,
      'see that the npm registry can be reached (`npm ping`) and that the disk is not full, then start it again.',
    );
  }
  say(`npm ci took ${Math.round((Date.now() - started) / 1_000)} s`);
}

/**
 * The PATH without the checkout's own executables, which npm puts in front of it for its scripts.
 *
 * @param {string} root
 */
export const outsidePath = (root) =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .filter((directory) => !`${directory}${sep}`.startsWith(join(root, 'node_modules') + sep))
    .join(delimiter);

/**
 * npm says first what is wrong, then how it is used.
 *
 * @param {string} output
 */
function complaint(output) {
  const errors = output.split('\n').filter((line) => /^npm error ?\S/.test(line));
  return errors.length === 0 ? tail(output) : tail(errors.slice(0, 12).join('\n'));
}

/** @param {string} text */
const hash = (text) => createHash('sha256').update(text).digest('hex').slice(0, 16);
