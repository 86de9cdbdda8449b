import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from '../lib/lock.mjs';
import { which } from '../lib/run.mjs';
import { StepError } from '../lib/step-error.mjs';
import { buildServer, findGo } from './build.mjs';
import { checkBinary } from './check.mjs';
import { downloadServer } from './download.mjs';
import { cacheFolder } from './version.mjs';

/**
 * @typedef {object} FoundServer
 * @property {string} file the `temporal` executable
 * @property {string} version what it says of itself
 * @property {'path' | 'cache' | 'download' | 'build'} source
 */

/**
 * @typedef {object} FindOptions
 * @property {NodeJS.ProcessEnv} [env] PATH and XDG_CACHE_HOME are read from it
 * @property {string} [node] a Node that can run the Temporal SDK (default: this one)
 * @property {(line: string) => void} [say] progress
 */

/**
 * The `temporal` that would be tried first, without trying it and without getting one.
 *
 * @param {{ env?: NodeJS.ProcessEnv }} [options]
 * @returns {{ file: string } | null}
 */
export function knownServer({ env = process.env } = {}) {
  const cached = join(cacheFolder(env), 'temporal');
  const file = which('temporal', { path: env.PATH ?? '' }) ?? (existsSync(cached) ? cached : null);
  return file === null ? null : { file };
}

/**
 * Finds a `temporal` that can be our server, or gets one: on the PATH, in our cache, by the SDK's download, by
 * Go. What was got is kept in the cache, one per version; two processes never get it at the same time.
 * `TEMPORAL_ADDRESS` is not looked at: with a server that runs, there is nothing to find.
 *
 * @param {FindOptions} [options]
 * @returns {Promise<FoundServer>}
 * @throws {StepError} naming every place that was tried, and what to do
 */
export async function findServer({ env = process.env, node = process.execPath, say = () => undefined } = {}) {
  const folder = cacheFolder(env);
  const cached = join(folder, 'temporal');
  /** @type {string[]} */
  const tried = [];

  const onPath = which('temporal', { path: env.PATH ?? '' });
  if (onPath !== null) {
    const check = await checkBinary(onPath);
    if (check.ok) return { file: onPath, version: check.version, source: 'path' };
    tried.push(`${onPath}: ${check.why}`);
    say(`${onPath} is not used: ${check.why}`);
  } else tried.push('no `temporal` on the PATH');

  const known = await fromCache(cached, tried, say);
  if (known !== null) return known;

  return withLock(
    join(folder, 'lock'),
    async () => {
      const meanwhile = await fromCache(cached, [], () => undefined);
      return meanwhile ?? (await get({ cached, env, node, say, tried }));
    },
    { onWait: (holder) => say(`waiting for another set-up that is getting the Temporal server (${holder})`) },
  );
}

/**
 * @param {string} cached
 * @param {string[]} tried
 * @param {(line: string) => void} say
 * @returns {Promise<FoundServer | null>}
 */
async function fromCache(cached, tried, say) {
  if (!existsSync(cached)) {
    tried.push(`nothing in the cache (${cached})`);
    return null;
  }
  const check = await checkBinary(cached);
  if (check.ok) return { file: cached, version: check.version, source: 'cache' };
  tried.push(`${cached}: ${check.why}`);
  say(`${cached} is not used: ${check.why}`);
  return null;
}

/**
 * @param {{ cached: string, env: NodeJS.ProcessEnv, node: string, say: (line: string) => void, tried: string[] }} options
 * @returns {Promise<FoundServer>}
 */
async function get({ cached, env, node, say, tried }) {
  const download = await downloadServer({ target: cached, node, say });
  if (download.ok) return checked(cached, 'download');
  tried.push(`the SDK's download: ${download.why}`);
  say(`the SDK's download did not work: ${download.why}`);

  const found = await findGo(env);
  if (found.go !== null) {
    await buildServer({ go: found.go, target: cached, say });
    return checked(cached, 'build');
  }
  tried.push(`a build with Go: ${found.why}`);
  throw new StepError(
    'Temporal server',
    `none was found and none could be got.\n${tried.map((line) => `    - ${line}`).join('\n')}`,
    'install Go 1.21 or later (it builds the server once), or put a `temporal` on the PATH, or set ' +
      'TEMPORAL_ADDRESS to a server that runs; then start it again.',
  );
}

/**
 * @param {string} file
 * @param {'download' | 'build'} source
 * @returns {Promise<FoundServer>}
 */
async function checked(file, source) {
  const check = await checkBinary(file);
  if (check.ok) return { file, version: check.version, source };
  throw new StepError(
    'Temporal server',
    `${file}, just got by ${source}, cannot be used: ${check.why}`,
    `delete ${file} and put a working \`temporal\` on the PATH, or set TEMPORAL_ADDRESS to a server that runs.`,
  );
}
