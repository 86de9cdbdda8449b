/**
 * `prepack`: Node strips no types under node_modules, so the package has JavaScript. dist/ mirrors the checkout
 * (dist/src, dist/infra, dist/prompts), so that a path relative to a module means the same in both.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundleWorkflowCode } from '@temporalio/worker';
import { bundleOptions } from '../../src/host/workflow-source.ts';

const ROOT = dirname(dirname(import.meta.dirname));
const DIST = join(ROOT, 'dist');

/** Read at run time, beside the modules that read them. */
const DATA = [
  'prompts',
  'package.json',
  'infra/temporal/go.mod',
  'infra/temporal/go.sum',
  'infra/modal/Dockerfile',
  'infra/modal/child.py',
  'infra/modal/disk.py',
  'infra/modal/output.py',
  'infra/modal/processes.py',
  'infra/modal/runner.py',
];

/** All but warnings would go to standard output, which `npm pack --json` needs for itself. */
const quiet = { trace() {}, debug() {}, info() {}, log() {}, warn: console.warn, error: console.error };

rmSync(DIST, { recursive: true, force: true });
const tsc = join(ROOT, 'node_modules', 'typescript-native', 'bin', 'tsc');
execFileSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.pack.json')], {
  stdio: ['ignore', process.stderr, process.stderr],
});
for (const path of DATA) {
  mkdirSync(dirname(join(DIST, path)), { recursive: true });
  if (path === 'prompts') cpSync(join(ROOT, path), join(DIST, path), { recursive: true });
  else copyFileSync(join(ROOT, path), join(DIST, path));
}
const { code } = await bundleWorkflowCode({ ...bundleOptions(), logger: quiet });
writeFileSync(join(DIST, 'src', 'host', 'workflow-bundle.js'), code);
