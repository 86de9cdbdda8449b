import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../lib/run.mjs';
import { HERE, pinnedVersion } from './version.mjs';

/** A blocked network often swallows packets instead of refusing: no byte within this time counts as no. */
const FIRST_BYTE_MS = 12_000;
const DOWNLOAD_MS = 180_000;

/**
 * Lets the Temporal SDK fetch the server with its own downloader (`@temporalio/testing`), to `target`.
 *
 * @param {{ target: string, node: string, say: (line: string) => void }} options `node` runs the SDK (Node 22 or later)
 * @returns {Promise<{ ok: true } | { ok: false, why: string }>}
 */
export async function downloadServer({ target, node, say }) {
  const folder = join(dirname(target), `.download-${process.pid}`);
  await mkdir(folder, { recursive: true });
  say(`asking the Temporal SDK to download the server ${pinnedVersion()}`);
  const ended = new AbortController();
  try {
    const download = run(node, [join(HERE, 'download-child.mjs'), `v${pinnedVersion()}`, folder], {
      timeoutMs: DOWNLOAD_MS,
    }).finally(() => ended.abort());
    const silent = noByteWithin(folder, FIRST_BYTE_MS, ended.signal);
    const result = await Promise.race([download, silent]);
    if (result === 'silent') return { ok: false, why: `nothing came within ${FIRST_BYTE_MS / 1_000} s` };
    const file = (await readdir(folder)).find((name) => name.startsWith('temporal') && !name.endsWith('.downloading'));
    if (result.code !== 0 || file === undefined) {
      return { ok: false, why: result.problem === 'timeout' ? 'it took too long' : reason(result.output) };
    }
    await rename(join(folder, file), target);
    return { ok: true };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Resolves with 'silent' when the folder is still empty after `ms`; never, when something came or it has ended.
 *
 * @param {string} folder
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<'silent'>}
 */
function noByteWithin(folder, ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      hasBytes(folder).then((some) => (some ? undefined : resolve('silent')), reject);
    }, ms);
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}

/** @param {string} folder */
async function hasBytes(folder) {
  for (const name of await readdir(folder)) {
    if ((await stat(join(folder, name))).size > 0) return true;
  }
  return false;
}

/** @param {string} output */
const reason = (output) =>
  output
    .trim()
    .split('\n')
    .find((line) => line.includes('rror'))
    ?.slice(0, 400) ?? 'it failed without a word';
