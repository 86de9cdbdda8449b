import { existsSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { run, tail } from '../lib/run.mjs';
import { StepError } from '../lib/step-error.mjs';
import { outsidePath } from './npm.mjs';

const MAJOR = 24;

/**
 * The Node 24 of the npm package `node`. Its install script fetches the executable; where a policy of npm's skips
 * install scripts, it is run here.
 *
 * @param {{ root: string, say: (line: string) => void }} options
 * @returns {Promise<{ file: string, version: string }>}
 */
export async function findNode({ root, say }) {
  const folder = join(root, 'node_modules', 'node');
  const file = join(folder, 'bin', 'node');
  const first = await version(file);
  if (first !== null) return { file, version: first };
  say(`fetching Node ${MAJOR}: npm did not run the install script of its package \`node\``);
  const result = existsSync(join(folder, 'installArchSpecificPackage.js'))
    ? await run(process.execPath, ['installArchSpecificPackage.js'], {
        cwd: folder,
        env: { ...process.env, PATH: outsidePath(root) },
        timeoutMs: 10 * 60_000,
      })
    : { code: 1, output: `${folder} is not there` };
  const second = await version(file);
  if (second !== null) {
    linkCommand(root);
    return { file, version: second };
  }
  throw new StepError(
    `Node ${MAJOR}`,
    `${file} does not run, and the install script of the npm package \`node\` did not mend it:\n${tail(result.output)}`,
    `delete node_modules and start it again; where npm refuses install scripts, allow that one ` +
      '(`npm config set ignore-scripts false`, or `npm install-scripts approve node`).',
  );
}

/**
 * npm links no command whose file was not there yet; npm's scripts are to find this Node too.
 *
 * @param {string} root
 */
function linkCommand(root) {
  const link = join(root, 'node_modules', '.bin', 'node');
  rmSync(link, { force: true });
  symlinkSync(join('..', 'node', 'bin', 'node'), link);
}

/**
 * @param {string} file
 * @returns {Promise<string | null>} "24.21.0", or null when it is not there, does not run or is another major
 */
async function version(file) {
  if (!existsSync(file)) return null;
  const { code, output } = await run(file, ['--version'], { timeoutMs: 20_000 });
  const said = output.trim().replace(/^v/, '');
  return code === 0 && said.startsWith(`${MAJOR}.`) ? said : null;
}
