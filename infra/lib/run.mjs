import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * @typedef {object} RunOptions
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {number} [timeoutMs] the process group is killed after this
 * @property {(line: string) => void} [onLine] gets each line of both outputs as it comes
 */

/**
 * @typedef {object} RunResult
 * @property {number | null} code exit code; null when it was killed or could not be started
 * @property {string} output both outputs as they came, the last 64 kB
 * @property {'timeout' | 'not-found' | 'failed-to-start' | null} problem
 */

const KEPT_BYTES = 65_536;

/**
 * Runs a program to its end. Never throws for the program's failure: that is in the result.
 *
 * @param {string} file
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<RunResult>}
 */
export async function run(file, args, options = {}) {
  const { cwd, env = process.env, timeoutMs, onLine } = options;
  const child = spawn(file, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  let rest = '';
  /** @type {RunResult['problem']} */
  let problem = null;
  /** @param {Buffer} chunk */
  const take = (chunk) => {
    output = (output + chunk.toString()).slice(-KEPT_BYTES);
    if (onLine === undefined) return;
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const killGroup = () => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      child.kill('SIGKILL'); // the group is gone already
    }
  };
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          problem = 'timeout';
          killGroup();
        }, timeoutMs);
  // A child in a group of its own does not get the terminal's Ctrl-C.
  const unhook = onEnd(killGroup);
  try {
    /** @type {readonly unknown[]} */
    const closed = await once(child, 'close');
    const code = closed[0];
    if (rest !== '') onLine?.(rest);
    return { code: typeof code === 'number' && problem === null ? code : null, output, problem };
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    return { code: null, output: String(error), problem: missing ? 'not-found' : 'failed-to-start' };
  } finally {
    clearTimeout(timer);
    unhook();
  }
}

/** @param {() => void} then called before this process ends by a signal; returns what takes it back */
function onEnd(then) {
  /** @param {NodeJS.Signals} signal */
  const handler = (signal) => {
    then();
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', handler);
  process.once('SIGTERM', handler);
  return () => {
    process.removeListener('SIGINT', handler);
    process.removeListener('SIGTERM', handler);
  };
}

/**
 * The first executable file of this name on the PATH, or null.
 *
 * @param {string} name
 * @param {{ path?: string, except?: (directory: string) => boolean }} [options]
 * @returns {string | null}
 */
export function which(name, { path = process.env.PATH ?? '', except = () => false } = {}) {
  for (const directory of path.split(delimiter)) {
    if (directory === '' || except(directory)) continue;
    const file = join(directory, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      continue; // not in this directory
    }
  }
  return null;
}

/**
 * The last lines of a text, indented, for an error message.
 *
 * @param {string} text
 * @param {number} [lines]
 */
export const tail = (text, lines = 12) =>
  text
    .trimEnd()
    .split('\n')
    .slice(-lines)
    .map((line) => `    ${line}`)
    .join('\n');
