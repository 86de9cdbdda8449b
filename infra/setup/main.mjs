/**
 * `node infra/setup/main.mjs <target> [arguments]`: does all of the set-up, then runs the target under Node 24. With
 * `--help` it only says what the target is.
 * Runs under the host's Node (20 or later) with nothing installed; so only node: modules may be imported here.
 * All it says goes to standard error: standard output is the target's.
 */
import { dirname } from 'node:path';
import { StepError } from '../lib/step-error.mjs';
import { checkBubblewrap } from './bubblewrap.mjs';
import { checkGit } from './git.mjs';
import { asksForHelp, helpOf } from './help.mjs';
import { findNode } from './node.mjs';
import { installPackages } from './npm.mjs';
import { runTarget } from './target.mjs';
import { checkTemporal } from './temporal.mjs';

const root = dirname(dirname(import.meta.dirname));

/** What each target of package.json's scripts is, from the root of the checkout. */
const TARGETS = /** @type {const} */ ({
  setup: [],
  demo: ['examples/demo.ts'],
  test: ['infra/gates/main.ts', 'test'],
  'test:slow': ['infra/gates/main.ts', 'test:slow'],
  'test:long': ['infra/gates/main.ts', 'test:long'],
  check: ['infra/gates/main.ts', 'check'],
  bench: ['bench/main.ts'],
  attack: ['test/attack/main.ts'],
  agentswarm: ['src/cli/main.ts'],
});

/** @param {string} step */
const speaker = (step) => (/** @type {string} */ line) => void process.stderr.write(`set-up: ${step}: ${line}\n`);

async function setUp() {
  const started = Date.now();
  // What a person may have to mend comes first, what takes minutes last.
  const git = await checkGit();
  const bubblewrap = await checkBubblewrap({ say: speaker('bubblewrap') });
  const packages = await installPackages({ root, say: speaker('npm packages') });
  const node = await findNode({ root, say: speaker('Node') });
  const temporal = await checkTemporal({ node: node.file, say: speaker('Temporal server') });
  const found = `npm packages ${packages} · Node ${node.version} · git ${git} · bubblewrap ${bubblewrap}`;
  process.stderr.write(`set-up: ${found}\nset-up: Temporal ${temporal}\n`);
  process.stderr.write(`set-up: done in ${((Date.now() - started) / 1_000).toFixed(1)} s\n`);
  return node.file;
}

/**
 * Needs nothing installed. Only `agentswarm` knows more than is written here, once its packages are there.
 *
 * @param {string} name
 * @param {readonly string[]} args
 */
async function help(name, args) {
  if (name !== 'agentswarm') process.stdout.write(`${helpOf(name)}\n`);
  else process.exitCode = await runTarget({ root, node: process.execPath, args: ['bin/agentswarm.mjs', ...args] });
}

async function main() {
  const [name = 'setup', ...args] = process.argv.slice(2);
  if (!Object.hasOwn(TARGETS, name)) {
    throw new StepError('target', `there is no "${name}"`, `one of ${Object.keys(TARGETS).join(', ')}`);
  }
  if (asksForHelp(args)) {
    await help(name, args);
    return;
  }
  if (Number(process.versions.node.split('.')[0]) < 20) {
    throw new StepError('Node', `the set-up runs under Node ${process.versions.node}`, 'install Node 20 or later.');
  }
  const target = TARGETS[/** @type {keyof typeof TARGETS} */ (name)];
  const node = await setUp();
  if (target.length > 0) process.exitCode = await runTarget({ root, node, args: [...target, ...args] });
}

try {
  await main();
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  process.stderr.write(`\nset-up failed at ${error.message}\n`);
  process.exitCode = 1;
}
