import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

/**
 * Runs a script of the checkout under its Node 24, with that Node and the packages' commands first on the PATH.
 * Signals are passed on, but for those that the terminal has sent to the whole group.
 *
 * @param {{ root: string, node: string, args: readonly string[] }} options
 * @returns {Promise<number>} the exit code for this process
 */
export function runTarget({ root, node, args }) {
  const path = [dirname(node), join(root, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter);
  const child = spawn(node, [join(root, args[0] ?? ''), ...args.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, PATH: path },
  });
  const fromTerminal = process.stdin.isTTY === true;
  process.on('SIGINT', () => (fromTerminal ? undefined : child.kill('SIGINT')));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.on('SIGHUP', () => child.kill('SIGHUP'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
