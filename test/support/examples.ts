/** An example as a test runs it: its starting repository with the spec, bare. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Example, filesBelow } from '../../examples/scripted-model/example.ts';
import { bareRepository, type TestRepository } from './repos.ts';

/** The origin that a run of the example starts from; its spec is `SPEC.md`. */
export function exampleOrigin(example: Example, dir: string): TestRepository {
  const files = Object.fromEntries(filesBelow(join(example.dir, 'repository')));
  return bareRepository(dir, { ...files, 'SPEC.md': readFileSync(join(example.dir, 'SPEC.md'), 'utf8') });
}
