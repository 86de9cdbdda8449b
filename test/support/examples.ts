/** An example as a test runs it: its starting repository with the spec, bare, and the checks of its result. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Example, filesBelow } from '../../examples/scripted-model/example.ts';
import { bareRepository, gitIn, type TestRepository } from './repos.ts';

/** The origin that a run of the example starts from; its spec is `SPEC.md`. */
export function exampleOrigin(example: Example, dir: string): TestRepository {
  const files = Object.fromEntries(filesBelow(join(example.dir, 'repository')));
  return bareRepository(dir, { ...files, 'SPEC.md': readFileSync(join(example.dir, 'SPEC.md'), 'utf8') });
}

/** Runs the example's check in a fresh clone below `dir`; throws with its output when it fails. */
export function checkExample(example: Example, origin: TestRepository, branch: string, dir: string): void {
  const clone = join(dir, 'fresh-clone');
  gitIn(dir, ['clone', '--quiet', '--branch', branch, origin.dir, clone]);
  const { status, stdout, stderr } = spawnSync('bash', ['-c', example.check], { cwd: clone, encoding: 'utf8' });
  if (status !== 0) throw new Error(`the check of ${example.name} ended with ${status}:\n${stdout}\n${stderr}`);
}
