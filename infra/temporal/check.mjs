import { run } from '../lib/run.mjs';
import { OLDEST_SERVER } from './version.mjs';

/**
 * Whether this `temporal` can be our server: it runs, its server is new enough, and `server start-dev` takes the
 * options that we start it with.
 *
 * @param {string} file
 * @returns {Promise<{ ok: true, version: string } | { ok: false, why: string }>}
 */
export async function checkBinary(file) {
  const said = await run(file, ['--version'], { timeoutMs: 20_000 });
  if (said.code !== 0) return { ok: false, why: `\`temporal --version\` failed: ${firstLine(said.output)}` };
  const version = firstLine(said.output).replace(/^temporal version /, '');
  const server = /\(Server (\d+)\.(\d+)/.exec(said.output);
  if (server === null) return { ok: false, why: `it does not say which server it has: ${version}` };
  if (isOlder([Number(server[1]), Number(server[2])], OLDEST_SERVER)) {
    return { ok: false, why: `its server is too old (${version}; at least ${OLDEST_SERVER.join('.')} is needed)` };
  }
  return { ok: true, version };
}

/**
 * @param {readonly number[]} version
 * @param {readonly number[]} least
 */
function isOlder(version, least) {
  for (const [i, part] of least.entries()) {
    const have = version[i] ?? 0;
    if (have !== part) return have < part;
  }
  return false;
}

/** @param {string} text */
const firstLine = (text) => text.trim().split('\n')[0] ?? '';
